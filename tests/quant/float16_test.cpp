#include "quant/float16.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>
#include <limits>

using namespace tq::quant;

namespace {

// IEEE 754 binary16 from its definition.
double fp16_value(uint16_t bits) {
  const int exponent = bits >> 10 & 31;
  const int fraction = bits & 1023;
  const double magnitude =
      exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024 + fraction, exponent - 25);
  return (bits & 0x8000) != 0 ? -magnitude : magnitude;
}

bool is_finite_fp16(uint16_t bits) { return (bits & 0x7c00) != 0x7c00; }

}  // namespace

TEST_CASE("every fp16 pattern reads as its definition and comes back", "[float16]") {
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    const auto half = static_cast<uint16_t>(bits);
    const float value = fp16_to_float(half);
    if (is_finite_fp16(half)) {
      REQUIRE(value == fp16_value(half));
      REQUIRE(std::signbit(value) == ((half & 0x8000) != 0));
      REQUIRE(float_to_fp16(value) == half);
    } else if ((half & 0x3ff) == 0) {
      REQUIRE(std::isinf(value));
      REQUIRE(float_to_fp16(value) == half);
    } else {
      REQUIRE(std::isnan(value));
      REQUIRE(std::isnan(fp16_to_float(float_to_fp16(value))));
    }
  }
}

TEST_CASE("rounding to fp16 is to nearest, ties to even", "[float16]") {
  // Between every two neighbours: just below, at and just above the middle.
  for (uint16_t low = 0; low < 0x7bff; ++low) {
    const auto high = static_cast<uint16_t>(low + 1);
    const auto middle = static_cast<float>((fp16_value(low) + fp16_value(high)) / 2.0);  // exact
    const uint16_t even = (low & 1) == 0 ? low : high;
    REQUIRE(float_to_fp16(middle) == even);
    REQUIRE(float_to_fp16(std::nextafter(middle, 0.0f)) == low);
    REQUIRE(float_to_fp16(std::nextafter(middle, 1e9f)) == high);
    REQUIRE(float_to_fp16(-middle) == (even | 0x8000));
  }
  CHECK(float_to_fp16(65519.996f) == 0x7bff);
  CHECK(float_to_fp16(65520.0f) == 0x7c00);
  CHECK(float_to_fp16(std::numeric_limits<float>::max()) == 0x7c00);
  CHECK(float_to_fp16(std::numeric_limits<float>::denorm_min()) == 0);
}

TEST_CASE("rounding to bf16 is to nearest, ties to even, and NaN stays NaN", "[float16]") {
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    const auto half = static_cast<uint16_t>(bits);
    const float value = bf16_to_float(half);
    if (std::isnan(value)) {
      REQUIRE(std::isnan(bf16_to_float(float_to_bf16(value))));
      continue;
    }
    REQUIRE(float_to_bf16(value) == half);
    if (std::isinf(value) || (half & 0x7fff) == 0x7f7f) continue;
    const float middle = std::bit_cast<float>(bits << 16 | 0x8000u);
    REQUIRE(float_to_bf16(middle) == ((half & 1) == 0 ? half : half + 1));
    REQUIRE(float_to_bf16(std::bit_cast<float>(bits << 16 | 0x7fffu)) == half);
    REQUIRE(float_to_bf16(std::bit_cast<float>(bits << 16 | 0x8001u)) == half + 1);
  }
  CHECK(float_to_bf16(std::numeric_limits<float>::max()) == 0x7f80);
  // A NaN whose payload lies in the lower half alone must not become infinity.
  CHECK(std::isnan(bf16_to_float(float_to_bf16(std::bit_cast<float>(0x7f800001u)))));
}
