// The fitted levels. Source: `tq_formats_test "[generate]"`, which prints this table.
#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "bench/formats/group_search.h"
#include "config/check.h"

namespace tq::bench {
namespace {

struct Fitted {
  int bits;
  int group;
  std::array<uint8_t, 8> upper;  // the positive half, ascending; zeros after its end
};

constexpr Fitted kFitted[] = {
    {2, 16, {35, 127}},
    {2, 32, {37, 127}},
    {2, 64, {38, 127}},
    {2, 128, {39, 127}},
    {3, 16, {14, 42, 77, 127}},
    {3, 32, {14, 42, 76, 127}},
    {3, 64, {14, 42, 77, 127}},
    {3, 128, {14, 43, 77, 127}},
    {4, 16, {6, 18, 32, 46, 61, 79, 99, 127}},
    {4, 32, {6, 18, 31, 45, 60, 77, 98, 127}},
    {4, 64, {6, 18, 30, 44, 58, 75, 97, 127}},
    {4, 128, {6, 18, 30, 43, 57, 74, 96, 127}},
};

}  // namespace

std::vector<float> group_levels(int bits, int group) {
  const Fitted* best = nullptr;
  for (const Fitted& fitted : kFitted) {  // groups ascend
    if (fitted.bits == bits && fitted.group <= group) best = &fitted;
  }
  TQ_CHECK(best != nullptr, "levels are fitted for 2 to 4 bits and groups from 16", bits, group);
  const size_t half = size_t{1} << (bits - 1);
  std::vector<float> levels(2 * half);
  for (size_t k = 0; k < half; ++k) {
    levels[half + k] = static_cast<float>(best->upper[k]) / 127.0f;
    levels[half - 1 - k] = -levels[half + k];
  }
  return levels;
}

}  // namespace tq::bench
