// The tables of levels: what generates them, and that they are what is generated.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <span>
#include <utility>
#include <vector>

#include "bench/formats/group_search.h"
#include "bench/formats/trellis.h"
#include "quant/float16.h"
#include "quant/random.h"

using tq::bench::fit_group_levels;
using tq::bench::fit_trellis_levels;
using tq::bench::group_levels;
using tq::bench::GroupSearch;
using tq::bench::SearchedScale;
using tq::bench::Trellis;
using tq::bench::trellis_levels;
using tq::quant::Rng;
using tq::quant::RngStream;

namespace {

constexpr uint64_t kSeed = 4001;

// The scale that the symmetric levels of a group are fitted to: long ones are those of formats with
// one fp16 scale per row.
SearchedScale symmetric_scale(int group) {
  return group >= 64 ? SearchedScale::kFp16 : SearchedScale::kE5m3;
}

void print(std::span<const float> levels) {
  const float top = std::max(-levels.front(), levels.back());
  for (size_t k = 0; k < levels.size(); ++k) {
    std::printf("%s%ld", k == 0 ? "{" : ", ", std::lround(127.0f * levels[k] / top));
  }
  std::printf("}},\n");
  std::fflush(stdout);
}

std::vector<float> gaussian(size_t n) {
  Rng rng(kSeed + 1, RngStream::kData);
  std::vector<float> values(n);
  for (float& value : values) value = static_cast<float>(rng.gaussian());
  return values;
}

// Mean squared error of groups under scales, sizes spread over a factor of 2.
double group_error(std::span<const float> levels, int group, SearchedScale scale) {
  const GroupSearch search(levels, scale);
  const std::vector<float> values = gaussian(size_t{1} << 16);
  const auto n = static_cast<size_t>(group);
  std::vector<uint8_t> codes(n);
  std::vector<float> part(n);
  double off = 0.0;
  for (size_t i = 0; i < values.size(); i += n) {
    const float size = std::exp2(static_cast<float>(i) / static_cast<float>(values.size()));
    for (size_t j = 0; j < n; ++j) part[j] = size * values[i + j];
    const float found = search.search(part, codes);
    for (size_t j = 0; j < n; ++j) off += std::pow((part[j] - found * levels[codes[j]]) / size, 2);
  }
  return off / static_cast<double>(values.size());
}

double trellis_error(std::span<const float> levels) {
  constexpr size_t kDim = 128;
  const Trellis trellis(levels);
  const std::vector<float> values = gaussian(kDim * 512);
  std::vector<uint8_t> chosen(kDim);
  double off = 0.0;
  for (size_t i = 0; i < values.size(); i += kDim) {
    trellis.encode(std::span(values).subspan(i, kDim), chosen);
    for (size_t j = 0; j < kDim; ++j) off += std::pow(values[i + j] - levels[chosen[j]], 2);
  }
  return off / static_cast<double>(values.size());
}

}  // namespace

// 1 %: rounding to int8, and fits on fewer values, of other random numbers.
TEST_CASE("the tables are as good as a fresh fit", "[fit]") {
  INFO("seed " << kSeed);
  for (const int bits : {2, 3, 4}) {
    CAPTURE(bits);
    for (const SearchedScale scale : {SearchedScale::kE5m3, SearchedScale::kSignedE4m3}) {
      for (const int group : {16, 32}) {
        CAPTURE(group, static_cast<int>(scale));
        const std::vector<float> fresh = fit_group_levels(
            {.bits = bits, .group = group, .scale = scale, .n_groups = 1024, .seed = 1});
        const std::vector<float> table = group_levels(bits, group, scale);
        CHECK(group_error(table, group, scale) <= 1.01 * group_error(fresh, group, scale));
      }
    }
    const std::vector<float> fresh =
        fit_trellis_levels({.bits = bits, .n_rows = 128, .n_rounds = 12, .seed = 1});
    CHECK(trellis_error(trellis_levels(bits)) <= 1.01 * trellis_error(fresh));
  }
}

// Scales of 8 bits: 247 of e5m3, or 126 of e4m3 of either sign.
TEST_CASE("the searched scale is the best of all", "[fit]") {
  INFO("seed " << kSeed);
  constexpr size_t kGroup = 32;
  for (const auto& [bits, kind] :
       {std::pair(2, SearchedScale::kE5m3), std::pair(3, SearchedScale::kE5m3),
        std::pair(4, SearchedScale::kE5m3), std::pair(2, SearchedScale::kSignedE4m3),
        std::pair(3, SearchedScale::kSignedE4m3), std::pair(4, SearchedScale::kSignedE4m3)}) {
    CAPTURE(bits, static_cast<int>(kind));
    const bool has_sign = kind == SearchedScale::kSignedE4m3;
    const std::vector<float> levels = group_levels(bits, kGroup, kind);
    const GroupSearch search(levels, kind);
    const std::vector<float> values = gaussian(kGroup * 200);
    std::vector<uint8_t> codes(kGroup);
    double found = 0.0;
    double exhaustive = 0.0;
    for (size_t i = 0; i < values.size(); i += kGroup) {
      const std::span<const float> group = std::span(values).subspan(i, kGroup);
      const float scale = search.search(group, codes);
      for (size_t j = 0; j < kGroup; ++j) {
        found += std::pow(group[j] - scale * levels[codes[j]], 2);
      }
      double best = 1e30;
      for (int byte = 1; byte < (has_sign ? 0xff : 0xf8); ++byte) {
        const int magnitude = has_sign ? byte & 0x7f : byte;
        if (has_sign && (magnitude == 0 || magnitude == 0x7f)) continue;  // zero and NaN
        const float size = tq::quant::fp16_to_float(static_cast<uint16_t>(magnitude << 7));
        const float other = !has_sign ? size : (byte < 0x80 ? 256.0f : -256.0f) * size;
        double off = 0.0;
        for (const float value : group) {
          double nearest = 1e30;
          for (const float level : levels) {
            nearest = std::min(nearest, std::pow(static_cast<double>(value - other * level), 2));
          }
          off += nearest;
        }
        best = std::min(best, off);
      }
      exhaustive += best;
    }
    CHECK(found >= 0.99999 * exhaustive);  // floats
    CHECK(found <= 1.001 * exhaustive);    // the window
  }
}

// Every path of 10 values, by a shift register and the parities of its taps.
TEST_CASE("the trellis search finds the best of all paths", "[fit]") {
  INFO("seed " << kSeed);
  constexpr size_t kValues = 10;
  const std::vector<float> levels = trellis_levels(2);
  const Trellis trellis(levels);
  const std::vector<float> values = gaussian(kValues * 20);
  for (size_t first = 0; first < values.size(); first += kValues) {
    const std::span<const float> row = std::span(values).subspan(first, kValues);
    std::vector<uint8_t> chosen(kValues);
    trellis.encode(row, chosen);
    double found = 0.0;
    for (size_t j = 0; j < kValues; ++j) found += std::pow(row[j] - levels[chosen[j]], 2);

    double best = 1e30;
    for (unsigned path = 0; path < 1u << kValues; ++path) {
      double off = 0.0;
      for (size_t j = 0; j < kValues; ++j) {
        unsigned high = 0;
        unsigned low = 0;
        for (size_t back = 0; back <= std::min<size_t>(j, 8); ++back) {
          const unsigned bit = path >> (j - back) & 1u;
          high ^= bit & 0515u >> back;
          low ^= bit & 0362u >> back;
        }
        double nearest = 1e30;
        for (size_t k = 2 * (high & 1u) + (low & 1u); k < levels.size(); k += 4) {
          nearest = std::min(nearest, std::pow(static_cast<double>(row[j] - levels[k]), 2));
        }
        off += nearest;
      }
      best = std::min(best, off);
    }
    CHECK(found == Approx(best).epsilon(1e-5));
  }
}

// Minutes. Prints the tables of group_levels.cpp.
TEST_CASE("generate the levels of groups", "[.generate]") {
  const auto fit_and_print = [](int bits, int group, SearchedScale scale) {
    const std::vector<float> levels = fit_group_levels({.bits = bits,
                                                        .group = group,
                                                        .scale = scale,
                                                        .n_groups = (1 << 20) / group,
                                                        .seed = kSeed});
    std::printf("    {%d, %d, ", bits, group);
    const bool has_mirror = scale != SearchedScale::kSignedE4m3;
    print(has_mirror ? std::span(levels).subspan(levels.size() / 2) : std::span(levels));
  };
  SECTION("symmetric") {
    for (const int bits : {2, 3, 4}) {
      for (const int group : {16, 32, 64, 128}) fit_and_print(bits, group, symmetric_scale(group));
    }
  }
  SECTION("signed") {
    for (const int bits : {2, 3, 4}) {
      for (const int group : {16, 32, 64}) fit_and_print(bits, group, SearchedScale::kSignedE4m3);
    }
  }
}

// A minute. Prints the table of trellis_levels.cpp.
TEST_CASE("generate the levels of trellises", "[.generate]") {
  for (const int bits : {2, 3, 4}) {
    const std::vector<float> levels =
        fit_trellis_levels({.bits = bits, .n_rows = 4096, .n_rounds = 60, .seed = kSeed});
    std::printf("    {%d, %.4ff, ", bits, levels.back());
    print(std::span(levels).subspan(levels.size() / 2));
  }
}
