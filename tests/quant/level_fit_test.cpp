// The levels of RowCodec are those of a fit that knows nothing of its encoder.
#include "tests/quant/level_fit.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <vector>

#include "quant/row_codec.h"

using tq::quant::RowCodec;
using tq::quant::testing::fit_levels;
using tq::quant::testing::level_error;
using tq::quant::testing::make_groups;

namespace {

constexpr uint64_t kSeed = 4001;

}  // namespace

// 1 % of error and 3 levels: the rounding to int8, and a fit on fewer groups, of other numbers. At
// 4 bits neighbours may move together at hardly any cost, and draws of as many groups differ by 5.
TEST_CASE("the levels of the row codec are a fixed point of search and Lloyd's step",
          "[level_fit]") {
  INFO("seed " << kSeed);
  constexpr int kValues = 1 << 15;
  for (const int bits : {2, 3, 4}) {
    for (const int group : {16, 64}) {
      CAPTURE(bits, group);
      const int n_groups = kValues / group;
      const std::vector<double> refit = fit_levels(
          bits, make_groups({.group = group, .n_groups = n_groups, .seed = kSeed + 1}), group);
      const RowCodec codec = RowCodec::create({.dim = group, .bits = bits, .group = group}).value();
      const std::vector<double> tabled(codec.levels().begin(), codec.levels().end());
      REQUIRE(tabled.size() == refit.size());
      for (size_t k = 0; k < tabled.size(); ++k) {
        CAPTURE(k);
        CHECK(std::abs(tabled[k] - refit[k]) <= (bits == 4 ? 6.0 : 3.0));
      }
      const std::vector<float> fresh =
          make_groups({.group = group, .n_groups = n_groups, .seed = kSeed + 2});
      CHECK(level_error(tabled, fresh, group) <= 1.01 * level_error(refit, fresh, group));
    }
  }
}

// Minutes. Prints kFitted of quant/row_codec.cpp.
TEST_CASE("generate the levels of the row codec", "[.generate]") {
  for (const int bits : {2, 3, 4}) {
    for (const int group : {16, 64}) {
      const std::vector<double> levels = fit_levels(
          bits, make_groups({.group = group, .n_groups = (1 << 20) / group, .seed = kSeed}), group);
      std::printf("    {%d, %d, {", bits, group);
      const char* comma = "";
      for (const double level : levels) {
        std::printf("%s%ld", comma, std::lround(level));
        comma = ", ";
      }
      std::printf("}},\n");
      std::fflush(stdout);
    }
  }
}
