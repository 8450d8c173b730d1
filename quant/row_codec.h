#pragma once
// RowCodec: one head vector <-> codes and a scale per group of its coordinates, in the rotated
// domain. The scalar reference that every backend of kernels/ must equal, to the last bit.
// Immutable; any thread.
//
// Decoding: y~_j = 2^exponent * value(scale of j's group) * level_j / 127, where level_j is
// levels(book of the scale)[code_j], or the code itself, as an int8, at 8 bits. TurboQuant (arXiv
// 2504.19874, Algorithm 1) rounds each coordinate to the Lloyd-Max centroid of its Gaussian-like
// density and keeps one norm per row. Here a group has a scale of its own, and the scale is
// searched: the encoder tries the magnitudes near the group's largest coordinate, with both signs,
// and keeps the one whose rounding has the least squared error. The levels are the fixed point of
// that search and Lloyd's step. They are lopsided, since a negative scale mirrors them: the choice
// of an end for each group costs one bit. Groups of fewer than 64 choose between two codebooks at 3
// bits and four at 2: the levels of a width are then 16, a table that one byte shuffle reads. What
// it is worth: quant/README.md.
//
// Rows that lie in one tile of the store share a power of two, which brings their scales into
// range. The search runs in integers, so that sums are exact in any order: a coordinate is
// y_j / scale in steps of 1/16 level, rounded once.

#include <cstdint>
#include <span>

#include "config/result.h"

namespace tq::quant {

inline constexpr float kLevelUnit = 1.0f / 127.0f;  // what one level stands for, in scales
inline constexpr int kLevelsMax = 16;               // of all codebooks together

// A scale byte, from its highest bit: a sign, `book_bits` bits that choose the codebook, an
// exponent of 4 - book_bits bits and a mantissa of 3. The magnitude's bits stand in an fp16 for the
// lower bits of the exponent and the upper ones of the mantissa: value() is that fp16 times unit().
struct ScaleFormat {
  int book_bits = 0;  // 0 to 2

  constexpr int n_books() const noexcept { return 1 << book_bits; }
  constexpr int largest() const noexcept { return 0x7f >> book_bits; }  // the magnitude of 1.875
  constexpr float unit() const noexcept {
    return book_bits == 0 ? 1.0f : book_bits == 1 ? 0x1p8f : 0x1p12f;
  }
  // Half the least magnitude but 0. Smaller groups have scale 0.
  constexpr float tiny() const noexcept { return 0x1p-18f * unit(); }
  constexpr int book(uint8_t scale) const noexcept { return (scale & 0x7f) >> (7 - book_bits); }
  float value(uint8_t scale) const noexcept;
};

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
// the largest of 1..largest() whose value is not above `from` times the group's largest magnitude,
// as an fp16 times unit(). All of them are tried, with every codebook and both signs.
struct ScaleSearch {
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
  ScaleFormat scale_format() const noexcept { return scale_format_; }
  // Of a codebook, by code, ascending; 2^bits of them, the largest magnitude 127. Books lie one
  // after another. Empty at 8 bits.
  std::span<const int8_t> levels(int book) const noexcept {
    return {levels_ + static_cast<size_t>(book) * n_levels(), n_levels()};
  }
  // Midpoints of neighbouring levels, in steps; a coordinate on one takes the lower code.
  std::span<const int16_t> boundaries(int book) const noexcept {
    const size_t n = n_levels() == 0 ? 0 : n_levels() - 1;
    return {boundaries_ + static_cast<size_t>(book) * n, n};
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
  uint8_t code_of(int steps, int book) const noexcept;
  int level_of(uint8_t code, int book) const noexcept;
  int error_of(std::span<const int> steps, int sign, int book) const noexcept;

  RowShape shape_;
  ScaleSearch search_;
  ScaleFormat scale_format_;
  int8_t levels_[kLevelsMax] = {};
  int16_t boundaries_[kLevelsMax] = {};
};

}  // namespace tq::quant
