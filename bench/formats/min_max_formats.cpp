// Equal steps from the least to the largest value of a group, both ends kept: the caches of vLLM
// (token-wise int4) and KIVI (arXiv 2402.02750).
#include <algorithm>
#include <cmath>
#include <memory>
#include <span>
#include <vector>

#include "bench/formats/formats.h"
#include "bench/formats/parts.h"
#include "config/check.h"

namespace tq::bench {
namespace {

constexpr int kKiviGroup = 32;
constexpr double kSideBits = 32.0;  // fp16 scale and fp16 zero

void round_min_max(std::span<float> group, int bits) {
  const auto [least, largest] = std::minmax_element(group.begin(), group.end());
  const auto top = static_cast<float>((1 << bits) - 1);
  const float zero = round_to_fp16(*least);
  const float scale = round_to_fp16((*largest - *least) / top);
  for (float& value : group) {
    const float steps = scale > 0.0f ? std::nearbyint((value - zero) / scale) : 0.0f;
    value = zero + scale * std::clamp(steps, 0.0f, top);
  }
}

// Keys: groups of 32 tokens in each channel. Values: groups of 32 channels in each token.
class Kivi final : public KvCodec {
 public:
  Kivi(int head_dim, int bits) : dim_(static_cast<size_t>(head_dim)), bits_(bits) {}

  double bits_per_value(bool /*is_key*/) const noexcept override {
    return bits_ + kSideBits / kKiviGroup;
  }

  void round_trip(std::span<float> rows, const RowPlace& place) override {
    const size_t tile = dim_ * kKiviGroup;
    TQ_CHECK(rows.size() % tile == 0, "a multiple of 32 rows", rows.size());
    for (size_t first = 0; first < rows.size(); first += tile) {
      const std::span<float> tokens = rows.subspan(first, tile);
      if (place.is_key) {
        round_columns(tokens);
      } else {
        for (size_t i = 0; i < tile; i += kKiviGroup) {
          round_min_max(tokens.subspan(i, kKiviGroup), bits_);
        }
      }
    }
  }

 private:
  void round_columns(std::span<float> tokens) const {
    float column[kKiviGroup];
    for (size_t channel = 0; channel < dim_; ++channel) {
      for (size_t t = 0; t < kKiviGroup; ++t) column[t] = tokens[t * dim_ + channel];
      round_min_max(column, bits_);
      for (size_t t = 0; t < kKiviGroup; ++t) tokens[t * dim_ + channel] = column[t];
    }
  }

  size_t dim_;
  int bits_;
};

}  // namespace

MadeCodec make_min_max(const KvCodecOptions& options, int bits) {
  return make_grouped(options, options.head_dim, bits + kSideBits / options.head_dim,
                      [bits](std::span<float> row) { round_min_max(row, bits); });
}

MadeCodec make_kivi(const KvCodecOptions& options, int bits) {
  TQ_TRY(check_groups(options, kKiviGroup));
  return std::unique_ptr<KvCodec>(std::make_unique<Kivi>(options.head_dim, bits));
}

}  // namespace tq::bench
