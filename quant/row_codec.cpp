#include "quant/row_codec.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "config/check.h"
#include "quant/codebook.h"
#include "quant/float16.h"

namespace tq::quant {
namespace {

constexpr double kFp16Max = 65504.0;

}  // namespace

Result<RowCodec> RowCodec::create(int dim, int bits, ScaleRule rule) {
  TQ_ASSIGN(const Codebook book, make_codebook(dim, bits));
  RowCodec codec;
  codec.dim_ = dim;
  codec.bits_ = bits;
  codec.rule_ = rule;
  const double unit = book.centroids.back() / 127.0;
  codec.unit_ = static_cast<float>(unit);
  const size_t n = book.centroids.size();
  for (size_t k = n / 2; k < n; ++k) {
    const auto level = static_cast<int8_t>(std::lround(book.centroids[k] / unit));
    codec.levels_[k] = level;
    codec.levels_[n - 1 - k] = static_cast<int8_t>(-level);
  }
  for (size_t k = 0; k + 1 < n; ++k) codec.boundaries_[k] = static_cast<float>(book.boundaries[k]);
  return codec;
}

Result<uint16_t> RowCodec::encode(std::span<const float> rotated, std::span<uint8_t> codes) const {
  const auto n = static_cast<size_t>(dim_);
  if (rotated.size() != n || codes.size() != n) {
    return Error{Code::kInvalidArgument,
                 "a row of " + std::to_string(rotated.size()) + " values and " +
                     std::to_string(codes.size()) + " codes does not fit head_dim " +
                     std::to_string(dim_),
                 "row"};
  }
  double norm_squared = 0.0;
  for (const float value : rotated) norm_squared += static_cast<double>(value) * value;
  // Squares of finite floats never overflow a double, so this finds every NaN and infinity.
  if (!std::isfinite(norm_squared)) {
    return Error{Code::kInvalidArgument, "a row holds NaN or infinity", "row"};
  }
  const double norm = std::sqrt(norm_squared);
  const double inverse = norm > 0.0 ? 1.0 / norm : 0.0;

  const std::span<const float> edges = boundaries();
  double along = 0.0;       // <y / |y|, level>
  int64_t level_norm2 = 0;  // |level|^2
  for (size_t j = 0; j < n; ++j) {
    const double t = rotated[j] * inverse;
    const uint8_t code = nearest_code(edges, static_cast<float>(t));
    const int level = levels_[code];
    codes[j] = code;
    along += t * level;
    level_norm2 += level * level;
  }
  if (norm == 0.0) return uint16_t{0};

  double scale = 0.0;
  switch (rule_) {
    case ScaleRule::kPlain: scale = norm * unit_; break;
    case ScaleRule::kMatched: scale = norm / std::sqrt(static_cast<double>(level_norm2)); break;
    // Positive: a level has the sign of its coordinate, and the largest coordinate a level that is
    // not 0.
    case ScaleRule::kUnbiased: scale = norm / along; break;
  }
  return float_to_fp16(static_cast<float>(std::min(scale, kFp16Max)));
}

void RowCodec::decode(std::span<const uint8_t> codes,
                      uint16_t scale,
                      std::span<float> rotated) const {
  const auto n = static_cast<size_t>(dim_);
  TQ_CHECK(codes.size() == n && rotated.size() == n, "row of another dimension", n);
  const float factor = fp16_to_float(scale);
  for (size_t j = 0; j < n; ++j) rotated[j] = factor * static_cast<float>(levels_[codes[j]]);
}

double RowCodec::score(std::span<const float> rotated_q,
                       std::span<const uint8_t> codes,
                       uint16_t scale) const {
  const auto n = static_cast<size_t>(dim_);
  TQ_CHECK(rotated_q.size() == n && codes.size() == n, "row of another dimension", n);
  double sum = 0.0;
  for (size_t j = 0; j < n; ++j) sum += static_cast<double>(rotated_q[j]) * levels_[codes[j]];
  return sum * static_cast<double>(fp16_to_float(scale));
}

}  // namespace tq::quant
