// The fitted levels. Source: `tq_formats_test "[.generate]"`, which prints this table.
#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "bench/formats/trellis.h"
#include "config/check.h"

namespace tq::bench {
namespace {

struct Fitted {
  int bits;
  float top;                      // the largest level
  std::array<uint8_t, 16> upper;  // the positive half, ascending, in units of top / 127
};

constexpr Fitted kFitted[] = {
    {2, 1.8760f, {12, 39, 72, 127}},
    {3, 2.5060f, {5, 15, 26, 38, 51, 68, 91, 127}},
    {4, 3.1092f, {2, 7, 11, 16, 21, 26, 31, 37, 43, 49, 57, 65, 75, 87, 103, 127}},
};

}  // namespace

std::vector<float> trellis_levels(int bits) {
  for (const Fitted& fitted : kFitted) {
    if (fitted.bits != bits) continue;
    const size_t half = size_t{1} << bits;
    std::vector<float> levels(2 * half);
    for (size_t k = 0; k < half; ++k) {
      levels[half + k] = fitted.top * static_cast<float>(fitted.upper[k]) / 127.0f;
      levels[half - 1 - k] = -levels[half + k];
    }
    return levels;
  }
  TQ_CHECK(false, "trellis levels are fitted for 2 to 4 bits", bits);
  return {};
}

}  // namespace tq::bench
