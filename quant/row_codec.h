#pragma once
// RowCodec: one head vector <-> codes and a scale per group of its coordinates, in the rotated
// domain. The scalar reference that every backend of kernels/ must equal, to the last bit.
// Immutable; any thread.
//
// Decoding: y~_j = 2^exponent * scale_value(scale of j's group) * level_j / 127, where level_j is
// levels()[code_j], or the code itself, as an int8, at 8 bits. TurboQuant (arXiv 2504.19874,
// Algorithm 1) rounds each coordinate to the Lloyd-Max centroid of its Gaussian-like density and
// keeps one norm per row. Here a group has a scale of its own, and the scale is searched: the
// encoder tries the magnitudes near the group's largest coordinate, with both signs, and keeps the
// one whose rounding has the least squared error. The levels are the fixed point of that search and
// Lloyd's step. They are lopsided, since a negative scale mirrors them: the choice of an end for
// each group costs one bit. What it is worth: quant/README.md.
//
// A scale has a sign, 4 bits of exponent and 3 of mantissa; rows that lie in one tile of the store
// share a power of two, which brings them into its range. The search runs in integers, so that sums
// are exact in any order: a coordinate is y_j / scale in steps of 1/16 level, rounded once.

#include <cstdint>
#include <span>

#include "config/result.h"

namespace tq::quant {

inline constexpr float kLevelUnit = 1.0f / 127.0f;  // what one level stands for, in scales

// The value of a scale byte: 2^-17 to 1.875, of either sign.
float scale_value(uint8_t scale) noexcept;

// The exponent that rows share whose largest magnitude is `largest`, with a bias of 127: so much
// that it is below 2^exponent. 0, for which every value decodes to 0, below 2^-100. Magnitudes
// over 1.875 * 2^126 saturate.
uint8_t shared_exponent(float largest) noexcept;
// 2^(exponent - 127); 0 for 0.
float exponent_value(uint8_t exponent) noexcept;

struct RowShape {
  int dim = 0;     // 1 to limits::kHeadDimMax
  int bits = 4;    // 2, 3, 4 or 8
  int group = 16;  // 16 to 64 neighbouring coordinates; the last group may be shorter

  constexpr int n_groups() const noexcept { return (dim + group - 1) / group; }
};

// How the encoder finds a scale: candidates are n_candidates neighbouring magnitudes, the first one
// the largest of 1..kLargest whose value is not above `from` times the group's largest magnitude,
// as an fp16.
struct ScaleSearch {
  static constexpr int kLargest = 0x7f;        // the magnitude of 1.875
  static constexpr float kTiny = 0x1p-18f;     // smaller groups have scale 0: half the least scale
  static constexpr float kStepsMax = 6000.0f;  // coordinates saturate here, far outside the levels
  static constexpr int kStepsPerLevel = 16;

  float from = 0.0f;
  int n_candidates = 0;
  bool both_signs = true;
};

class RowCodec {
 public:
  static Result<RowCodec> create(const RowShape& shape);

  const RowShape& shape() const noexcept { return shape_; }
  double bits_per_value() const noexcept;  // scales included
  const ScaleSearch& search() const noexcept { return search_; }
  // By code, ascending; 2^bits of them, the largest magnitude 127. Empty at 8 bits.
  std::span<const int8_t> levels() const noexcept { return {levels_, n_levels()}; }
  // Midpoints of neighbouring levels, in steps; a coordinate on one takes the lower code.
  std::span<const int16_t> boundaries() const noexcept {
    return {boundaries_, n_levels() == 0 ? 0 : n_levels() - 1};
  }

  // exponent: shared_exponent() of the largest magnitude of all rows that share it. codes: one per
  // byte; scales: one per group. A group whose magnitudes over 2^exponent are all below
  // ScaleSearch::kTiny has scale 0; NaN or infinity is kInvalidArgument.
  Result<void> encode(std::span<const float> rotated,
                      uint8_t exponent,
                      std::span<uint8_t> codes,
                      std::span<uint8_t> scales) const;
  void decode(std::span<const uint8_t> codes,
              std::span<const uint8_t> scales,
              uint8_t exponent,
              std::span<float> rotated) const;

 private:
  RowCodec() = default;
  size_t n_levels() const noexcept { return shape_.bits == 8 ? 0 : size_t{1} << shape_.bits; }
  uint8_t encode_group(std::span<const float> values, std::span<uint8_t> codes) const noexcept;
  uint8_t code_of(int steps) const noexcept;
  int level_of(uint8_t code) const noexcept;
  int error_of(std::span<const int> steps, int sign) const noexcept;

  RowShape shape_;
  ScaleSearch search_;
  int8_t levels_[16] = {};
  int16_t boundaries_[15] = {};
};

}  // namespace tq::quant
