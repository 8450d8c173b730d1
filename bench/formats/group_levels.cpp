// The fitted levels. Source: `tq_formats_test "[.generate]"`, which prints this table.
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "bench/formats/group_search.h"
#include "config/check.h"

namespace tq::bench {
namespace {

struct Fitted {
  int bits;
  int group;
  std::array<int8_t, 16> levels;  // ascending; zeros after their end
};

// Groups of 64 and 128 for fp16 scales, smaller ones for e5m3. The positive half.
constexpr Fitted kSymmetric[] = {
    {2, 16, {35, 127}},
    {2, 32, {36, 127}},
    {2, 64, {37, 127}},
    {2, 128, {38, 127}},
    {3, 16, {14, 42, 77, 127}},
    {3, 32, {13, 42, 76, 127}},
    {3, 64, {14, 42, 77, 127}},
    {3, 128, {14, 43, 77, 127}},
    {4, 16, {6, 19, 32, 46, 62, 79, 99, 127}},
    {4, 32, {6, 18, 31, 45, 60, 77, 98, 127}},
    {4, 64, {6, 18, 30, 44, 58, 75, 97, 127}},
    {4, 128, {6, 18, 30, 43, 57, 74, 96, 127}},
};

// For signed e4m3 scales. All levels.
constexpr Fitted kSigned[] = {
    {2, 16, {-127, -43, 16, 85}},
    {2, 32, {-127, -44, 18, 90}},
    {2, 64, {-127, -44, 21, 97}},
    {3, 16, {-127, -82, -48, -20, 4, 28, 55, 91}},
    {3, 32, {-127, -79, -47, -20, 5, 30, 59, 99}},
    {3, 64, {-127, -78, -45, -19, 6, 32, 62, 101}},
    {4, 16, {-127, -100, -81, -65, -50, -37, -25, -14, -2, 9, 22, 35, 50, 66, 84, 108}},
    {4, 32, {-127, -98, -78, -62, -48, -35, -24, -13, -2, 10, 22, 35, 49, 64, 82, 104}},
    {4, 64, {-127, -98, -77, -60, -46, -33, -21, -10, 1, 12, 24, 35, 48, 63, 81, 104}},
};

// Groups ascend within each number of bits.
const Fitted& find(std::span<const Fitted> table, int bits, int group) {
  const Fitted* best = nullptr;
  for (const Fitted& fitted : table) {
    if (fitted.bits == bits && fitted.group <= group) best = &fitted;
  }
  TQ_CHECK(best != nullptr, "levels are fitted for 2 to 4 bits and groups from 16", bits, group);
  return *best;
}

}  // namespace

std::vector<float> group_levels(int bits, int group, SearchedScale scale) {
  const size_t n = size_t{1} << bits;
  std::vector<float> levels(n);
  const auto as_level = [](int8_t level) { return static_cast<float>(level) / 127.0f; };
  if (scale == SearchedScale::kSignedE4m3) {
    const Fitted& fitted = find(kSigned, bits, group);
    for (size_t k = 0; k < n; ++k) levels[k] = as_level(fitted.levels[k]);
    return levels;
  }
  const Fitted& fitted = find(kSymmetric, bits, group);
  for (size_t k = 0; k < n / 2; ++k) {
    levels[n / 2 + k] = as_level(fitted.levels[k]);
    levels[n / 2 - 1 - k] = -levels[n / 2 + k];
  }
  return levels;
}

}  // namespace tq::bench
