#include "quant/row_codec.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <string>

#include "config/check.h"
#include "config/limits.h"
#include "quant/float16.h"

namespace tq::quant {
namespace {

constexpr int kGroupMax = 64;

struct Fitted {
  int bits;
  int group;
  int book_bits;
  float search_from;  // ScaleSearch
  int n_candidates;
  std::array<int8_t, kLevelsMax> levels;  // [book][2^bits], zeros after their end
};

// Source of the levels: tests/quant/level_fit.cpp, printed by `tq_quant_test "[.generate]"`; of the
// searches: quant/README.md. 8 bits need no levels, and the least magnitude that covers the group.
constexpr Fitted kFitted[] = {
    {2,
     16,
     2,
     0.7f,
     7,
     {-127, -48, 25, 123, -127, -33, 22, 80, -127, -54, 7, 79, -127, -54, -5, 46}},
    {2, 64, 0, 0.5f, 8, {-127, -44, 21, 97}},
    {3, 16, 1, 0.9f, 8, {-127, -79, -46, -18, 9, 35, 65, 108, -127, -85, -53, -27, -3, 21, 47, 81}},
    {3, 64, 0, 0.7f, 7, {-127, -78, -45, -19, 6, 32, 62, 101}},
    {4, 16, 0, 0.9f, 8, {-127, -100, -81, -65, -50, -37, -25, -14, -2, 9, 22, 35, 50, 66, 84, 108}},
    {4, 64, 0, 0.9f, 6, {-127, -98, -77, -60, -46, -33, -21, -10, 1, 12, 24, 35, 48, 63, 81, 104}},
    {8, 16, 0, 1.0f, 2, {}},
};

// Level k of a book, and the number of all levels.
constexpr int level_at(const Fitted& fitted, int book, int k) {
  return fitted.levels[static_cast<size_t>(book << fitted.bits | k)];
}

template <class Check>
constexpr bool holds_for_books(Check check) {
  for (const Fitted& fitted : kFitted) {
    if (fitted.bits == 8) continue;
    for (int book = 0; book < 1 << fitted.book_bits; ++book) {
      if (!check(fitted, book, 1 << fitted.bits)) return false;
    }
  }
  return true;
}

constexpr bool is_ascending(const Fitted& fitted, int book, int n) {
  for (int k = 1; k < n; ++k) {
    if (level_at(fitted, book, k) <= level_at(fitted, book, k - 1)) return false;
  }
  return true;
}
static_assert(holds_for_books(is_ascending));

// What look-ups by cells of 128 steps rely on (kernels/cpu/seal_avx2.cpp): boundaries are farther
// apart than a cell, and none lies in the outermost of 32.
constexpr bool suits_cells(const Fitted& fitted, int book, int n) {
  constexpr int kHalfStep = ScaleSearch::kStepsPerLevel / 2;
  for (int k = 0; k + 1 < n; ++k) {
    const int boundary = kHalfStep * (level_at(fitted, book, k) + level_at(fitted, book, k + 1));
    if (boundary <= -1920 || boundary >= 1920) return false;
    if (k > 0 &&
        kHalfStep * (level_at(fitted, book, k + 1) - level_at(fitted, book, k - 1)) <= 128) {
      return false;
    }
  }
  return true;
}
static_assert(holds_for_books(suits_cells));

// For the largest group that is not above shape.group.
const Fitted* find_fitted(const RowShape& shape) {
  const Fitted* best = nullptr;
  for (const Fitted& fitted : kFitted) {
    if (fitted.bits == shape.bits && fitted.group <= shape.group) best = &fitted;
  }
  return shape.group <= kGroupMax ? best : nullptr;
}

int to_steps(float value, float steps_per_unit) noexcept {
  constexpr float kMax = ScaleSearch::kStepsMax;
  return static_cast<int>(std::nearbyint(std::clamp(value * steps_per_unit, -kMax, kMax)));
}

float steps_per_unit(float scale) noexcept {
  return static_cast<float>(127 * ScaleSearch::kStepsPerLevel) / scale;
}

Error bad(std::string message) { return Error{Code::kInvalidArgument, std::move(message), "row"}; }

}  // namespace

float ScaleFormat::value(uint8_t scale) const noexcept {
  return unit() *
         fp16_to_float(static_cast<uint16_t>((scale & 0x80) << 8 | (scale & largest()) << 7));
}

uint8_t shared_exponent(float largest) noexcept {
  const int biased = static_cast<int>(std::bit_cast<uint32_t>(largest) >> 23) + 1;
  return static_cast<uint8_t>(largest < 0x1p-100f ? 0 : std::min(biased, 253));
}

float exponent_value(uint8_t exponent) noexcept {
  return std::bit_cast<float>(static_cast<uint32_t>(exponent) << 23);
}

Result<RowCodec> RowCodec::create(const RowShape& shape) {
  if (shape.dim < 1 || shape.dim > limits::kHeadDimMax) {
    return bad("a row has 1 to " + std::to_string(limits::kHeadDimMax) + " values, not " +
               std::to_string(shape.dim));
  }
  const Fitted* const fitted = find_fitted(shape);
  if (fitted == nullptr) {
    return bad("groups have 16 to 64 values of 2, 3, 4 or 8 bits, not " +
               std::to_string(shape.group) + " of " + std::to_string(shape.bits));
  }
  RowCodec codec;
  codec.shape_ = shape;
  codec.search_ = {.from = fitted->search_from,
                   .n_candidates = fitted->n_candidates,
                   .both_signs = shape.bits != 8};
  codec.scale_format_.book_bits = fitted->book_bits;
  std::copy(fitted->levels.begin(), fitted->levels.end(), codec.levels_);
  int16_t* boundary = codec.boundaries_;
  for (int book = 0; book < codec.scale_format_.n_books(); ++book) {
    const std::span<const int8_t> levels = codec.levels(book);
    for (size_t k = 0; k + 1 < levels.size(); ++k) {
      constexpr int kHalfStep = ScaleSearch::kStepsPerLevel / 2;
      *boundary++ = static_cast<int16_t>((levels[k] + levels[k + 1]) * kHalfStep);
    }
  }
  return codec;
}

double RowCodec::bits_per_value() const noexcept {
  return shape_.bits + 8.0 * shape_.n_groups() / shape_.dim;
}

uint8_t RowCodec::code_of(int steps, int book) const noexcept {
  if (shape_.bits == 8) {
    // The nearest level, a half upwards.
    constexpr int kHalf = ScaleSearch::kStepsPerLevel / 2;
    const int level = (steps + kHalf) >> 4;
    return static_cast<uint8_t>(static_cast<int8_t>(std::clamp(level, -127, 127)));
  }
  uint8_t code = 0;
  for (const int16_t boundary : boundaries(book)) code += steps > boundary ? 1 : 0;
  return code;
}

int RowCodec::level_of(uint8_t code, int book) const noexcept {
  return shape_.bits == 8 ? static_cast<int8_t>(code) : levels(book)[code];
}

// Squared error of a group under a scale of this sign, in squared steps. A value is at most
// kStepsMax - 16 * 40 steps from the last level of either end: 64 * 5360^2 < 2^31.
int RowCodec::error_of(std::span<const int> steps, int sign, int book) const noexcept {
  int error = 0;
  for (const int t : steps) {
    const int level = level_of(code_of(sign * t, book), book);
    const int difference = ScaleSearch::kStepsPerLevel * level - sign * t;
    error += difference * difference;
  }
  return error;
}

uint8_t RowCodec::encode_group(std::span<const float> values,
                               std::span<uint8_t> codes) const noexcept {
  float largest = 0.0f;
  for (const float value : values) largest = std::max(largest, std::abs(value));
  if (largest < scale_format_.tiny()) {
    std::fill(codes.begin(), codes.end(), uint8_t{0});
    return 0;
  }
  const int most = scale_format_.largest();
  const int first =
      std::clamp(float_to_fp16(search_.from * largest / scale_format_.unit()) >> 7, 1, most);
  std::array<int, kGroupMax> buffer;
  const std::span<int> steps = std::span(buffer).first(values.size());
  const auto to_group_steps = [&](float scale) {
    const float per_unit = steps_per_unit(scale);
    for (size_t j = 0; j < values.size(); ++j) steps[j] = to_steps(values[j], per_unit);
  };
  float least = std::numeric_limits<float>::infinity();
  uint8_t best = 0;
  for (int candidate = 0; candidate < search_.n_candidates; ++candidate) {
    const int magnitude = std::min(first + candidate, most);
    const float value = scale_format_.value(static_cast<uint8_t>(magnitude));
    to_group_steps(value);
    for (int book = 0; book < scale_format_.n_books(); ++book) {
      for (int sign = 1; sign >= (search_.both_signs ? -1 : 1); sign -= 2) {
        const float error = static_cast<float>(error_of(steps, sign, book)) * (value * value);
        if (error >= least) continue;
        least = error;
        best = static_cast<uint8_t>(magnitude | book << (7 - scale_format_.book_bits) |
                                    (sign < 0 ? 0x80 : 0));
      }
    }
  }
  to_group_steps(scale_format_.value(best));
  for (size_t j = 0; j < values.size(); ++j) codes[j] = code_of(steps[j], scale_format_.book(best));
  return best;
}

Result<void> RowCodec::encode(std::span<const float> rotated,
                              uint8_t exponent,
                              std::span<uint8_t> codes,
                              std::span<uint8_t> scales) const {
  const auto n = static_cast<size_t>(shape_.dim);
  if (rotated.size() != n || codes.size() != n ||
      scales.size() != static_cast<size_t>(shape_.n_groups())) {
    return bad("a row of " + std::to_string(rotated.size()) + " values, " +
               std::to_string(codes.size()) + " codes and " + std::to_string(scales.size()) +
               " scales does not fit head_dim " + std::to_string(shape_.dim));
  }
  for (const float value : rotated) {
    if (!std::isfinite(value)) return bad("a row holds NaN or infinity");
  }
  // 2^-exponent, of which the product with a float is exact; 0 for 0.
  const float inverse = exponent == 0 ? 0.0f : exponent_value(static_cast<uint8_t>(254 - exponent));
  std::array<float, limits::kHeadDimMax> values;
  for (size_t j = 0; j < n; ++j) values[j] = rotated[j] * inverse;
  const auto group = static_cast<size_t>(shape_.group);
  for (size_t g = 0; g < scales.size(); ++g) {
    const size_t first = g * group;
    const size_t size = std::min(group, n - first);
    scales[g] = encode_group(std::span(values).subspan(first, size), codes.subspan(first, size));
  }
  return {};
}

void RowCodec::decode(std::span<const uint8_t> codes,
                      std::span<const uint8_t> scales,
                      uint8_t exponent,
                      std::span<float> rotated) const {
  const auto n = static_cast<size_t>(shape_.dim);
  TQ_CHECK(codes.size() == n && rotated.size() == n &&
               scales.size() == static_cast<size_t>(shape_.n_groups()),
           "row of another dimension", codes.size(), rotated.size(), scales.size());
  const float unit = exponent_value(exponent);
  const auto group = static_cast<size_t>(shape_.group);
  for (size_t g = 0; g < scales.size(); ++g) {
    const float scale = scale_format_.value(scales[g]);
    const int book = scale_format_.book(scales[g]);
    for (size_t j = g * group; j < std::min(n, (g + 1) * group); ++j) {
      // Only the product with kLevelUnit is rounded.
      rotated[j] = scale * static_cast<float>(level_of(codes[j], book)) * kLevelUnit * unit;
    }
  }
}

}  // namespace tq::quant
