// The tables of levels: what generates them, and that they are what is generated.
#include <catch2/catch.hpp>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <span>
#include <vector>

#include "bench/formats/group_search.h"
#include "bench/formats/trellis.h"

using tq::bench::fit_group_levels;
using tq::bench::fit_trellis_levels;
using tq::bench::GroupFit;
using tq::bench::SearchedScale;
using tq::bench::TrellisFit;

namespace {

constexpr uint64_t kSeed = 4001;

// Groups as long as a row have the fp16 scale of formats with one scale per row.
GroupFit fit_of(int bits, int group) {
  return {.bits = bits,
          .group = group,
          .scale = group >= 64 ? SearchedScale::kFp16 : SearchedScale::kE5m3,
          .n_groups = (1 << 21) / group,
          .seed = kSeed};
}

void print_upper(std::span<const float> levels) {
  const std::span<const float> upper = levels.subspan(levels.size() / 2);
  for (size_t k = 0; k < upper.size(); ++k) {
    std::printf("%s%ld", k == 0 ? "{" : ", ", std::lround(127.0f * upper[k] / upper.back()));
  }
  std::printf("}},\n");
}

}  // namespace

// Minutes. Prints the tables of group_levels.cpp and trellis_levels.cpp.
TEST_CASE("generate the tables of levels", "[.generate]") {
  for (const int bits : {2, 3, 4}) {
    for (const int group : {16, 32, 64, 128}) {
      std::printf("    {%d, %d, ", bits, group);
      print_upper(fit_group_levels(fit_of(bits, group)));
      std::fflush(stdout);
    }
  }
  for (const int bits : {2, 3, 4}) {
    const std::vector<float> levels =
        fit_trellis_levels({.bits = bits, .n_rows = 4096, .n_rounds = 60, .seed = kSeed});
    std::printf("    {%d, %.4ff, ", bits, levels.back());
    print_upper(levels);
  }
}
