#include "kernels/key_bias.h"

#include <atomic>
#include <cmath>
#include <string>

#include "config/check.h"

namespace tq::kernels {
namespace {

// Coordinates of pair i.
struct Pair {
  size_t first, second;
};

Pair pair_at(const RopePairs& pairs, size_t i) noexcept {
  if (pairs.interleaved) return {2 * i, 2 * i + 1};
  return {i, i + pairs.frequencies.size()};
}

uint64_t next_id() noexcept {
  static std::atomic<uint64_t> last{0};
  return ++last;
}

}  // namespace

TileTurns::TileTurns(const RopePairs& pairs, int64_t n_positions)
    : pairs_(pairs),
      n_tiles_((n_positions + quant::kTileTokens - 1) / quant::kTileTokens),
      id_(next_id()) {
  values_.reserve(static_cast<size_t>(n_tiles_) * 2 * pairs_.frequencies.size());
  for (int64_t tile = 0; tile < n_tiles_; ++tile) {
    const auto position = static_cast<double>(tile * quant::kTileTokens);
    for (const float frequency : pairs_.frequencies) {
      values_.push_back(static_cast<float>(std::cos(position * frequency)));
    }
    for (const float frequency : pairs_.frequencies) {
      values_.push_back(static_cast<float>(std::sin(position * frequency)));
    }
  }
}

std::span<const float> TileTurns::at(int64_t position) const noexcept {
  TQ_CHECK(position >= 0 && position < n_positions() && position % quant::kTileTokens == 0,
           "no turn for this position", position, n_positions());
  const size_t size = 2 * pairs_.frequencies.size();
  return std::span(values_).subspan(static_cast<size_t>(position / quant::kTileTokens) * size,
                                    size);
}

KeyBias::KeyBias(const TileTurns& turns) : turns_(&turns), id_(next_id()) {}

Result<KeyBias> KeyBias::create(std::span<const float> bias,
                                int n_kv_heads,
                                const TileTurns& turns) {
  const auto n_heads = static_cast<size_t>(n_kv_heads);
  const size_t dim = n_kv_heads > 0 ? bias.size() / n_heads : 0;
  if (dim == 0 || dim * n_heads != bias.size() || dim < 2 * static_cast<size_t>(turns.n_pairs())) {
    return Error{Code::kInvalidArgument,
                 "a key bias of " + std::to_string(bias.size()) + " values does not fit " +
                     std::to_string(n_kv_heads) + " KV heads and " +
                     std::to_string(turns.n_pairs()) + " pairs",
                 "key_bias"};
  }
  for (const float value : bias) {
    if (!std::isfinite(value)) {
      return Error{Code::kInvalidArgument, "a key bias is NaN or infinite", "key_bias"};
    }
  }
  KeyBias result(turns);
  result.n_kv_heads_ = n_kv_heads;
  result.head_dim_ = static_cast<int>(dim);
  result.tiles_.resize(bias.size() * quant::kTileTokens);
  const RopePairs& pairs = turns.pairs();
  for (size_t head = 0; head < n_heads; ++head) {
    const std::span<const float> b = bias.subspan(head * dim, dim);
    for (size_t t = 0; t < quant::kTileTokens; ++t) {
      const auto put = [&](size_t j, double value) {
        result.tiles_[(head * dim + j) * quant::kTileTokens + t] = static_cast<float>(value);
      };
      for (size_t j = 2 * pairs.frequencies.size(); j < dim; ++j) put(j, b[j]);
      for (size_t i = 0; i < pairs.frequencies.size(); ++i) {
        const double angle = static_cast<double>(t) * pairs.frequencies[i];
        const double c = pairs.magnitude * std::cos(angle);
        const double s = pairs.magnitude * std::sin(angle);
        const Pair at = pair_at(pairs, i);
        put(at.first, b[at.first] * c - b[at.second] * s);
        put(at.second, b[at.second] * c + b[at.first] * s);
      }
    }
  }
  return result;
}

std::span<const float> KeyBias::tile(int kv_head) const noexcept {
  TQ_CHECK(kv_head >= 0 && kv_head < n_kv_heads_, "KV head out of range", kv_head, n_kv_heads_);
  const size_t size = static_cast<size_t>(head_dim_) * quant::kTileTokens;
  return std::span(tiles_).subspan(static_cast<size_t>(kv_head) * size, size);
}

void turn_back(std::span<float> row, const RopePairs& pairs, std::span<const float> turn) noexcept {
  const size_t n_pairs = pairs.frequencies.size();
  for (size_t i = 0; i < n_pairs; ++i) {
    const Pair at = pair_at(pairs, i);
    const float a = row[at.first];
    const float b = row[at.second];
    row[at.first] = a * turn[i] + b * turn[n_pairs + i];
    row[at.second] = b * turn[i] - a * turn[n_pairs + i];
  }
}

}  // namespace tq::kernels
