// The trellis search, and its levels: what generates the table, and that it is what is generated.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <span>
#include <vector>

#include "bench/formats/trellis.h"
#include "quant/random.h"

using tq::bench::fit_trellis_levels;
using tq::bench::Trellis;
using tq::bench::trellis_levels;
using tq::quant::Rng;
using tq::quant::RngStream;

namespace {

constexpr uint64_t kSeed = 4001;

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
    const std::vector<float> fresh =
        fit_trellis_levels({.bits = bits, .n_rows = 128, .n_rounds = 12, .seed = 1});
    CHECK(trellis_error(trellis_levels(bits)) <= 1.01 * trellis_error(fresh));
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

// A minute. Prints the table of trellis_levels.cpp.
TEST_CASE("generate the levels of trellises", "[.generate]") {
  for (const int bits : {2, 3, 4}) {
    const std::vector<float> levels =
        fit_trellis_levels({.bits = bits, .n_rows = 4096, .n_rounds = 60, .seed = kSeed});
    std::printf("    {%d, %.4ff, ", bits, levels.back());
    print(std::span(levels).subspan(levels.size() / 2));
  }
}
