#include "quant/row_codec.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "tests/quant/support.h"

using namespace tq::quant;
using namespace tq::quant::testing;

namespace {

constexpr uint64_t kSeed = 77001;

struct Coded {
  uint8_t exponent = 0;
  std::vector<uint8_t> codes;
  std::vector<uint8_t> scales;
  std::vector<float> decoded;
};

float largest_of(std::span<const float> row) {
  float largest = 0.0f;
  for (const float value : row) largest = std::max(largest, std::abs(value));
  return largest;
}

RowCodec make(int dim, int bits, int group) {
  return RowCodec::create({.dim = dim, .bits = bits, .group = group}).value();
}

// A row that shares its exponent with no other.
Coded round_trip(const RowCodec& codec, const std::vector<float>& row) {
  Coded coded;
  coded.exponent = shared_exponent(largest_of(row));
  coded.codes.resize(row.size());
  coded.scales.resize(static_cast<size_t>(codec.shape().n_groups()));
  coded.decoded.resize(row.size());
  REQUIRE(codec.encode(row, coded.exponent, coded.codes, coded.scales).ok());
  codec.decode(coded.codes, coded.scales, coded.exponent, coded.decoded);
  return coded;
}

// Least squared error of a group over all scales there are, in double.
double least_error(const RowCodec& codec, std::span<const float> group, double unit) {
  double least = std::numeric_limits<double>::infinity();
  for (int byte = 0; byte < 256; ++byte) {
    const auto scale_byte = static_cast<uint8_t>(byte);
    const double scale = unit * codec.scale_format().value(scale_byte) / 127.0;
    double error = 0.0;
    for (const float value : group) {
      double nearest = std::numeric_limits<double>::infinity();
      for (const int8_t level : codec.levels(codec.scale_format().book(scale_byte))) {
        nearest = std::min(nearest, std::abs(value - scale * level));
      }
      error += nearest * nearest;
    }
    least = std::min(least, error);
  }
  return least;
}

}  // namespace

TEST_CASE("the scale found is about the best of all", "[row_codec]") {
  INFO("seed " << kSeed);
  Rng rng(kSeed, RngStream::kData);
  for (const int group : {16, 64}) {
    for (const int bits : {2, 3, 4}) {
      const RowCodec codec = make(group, bits, group);
      double found = 0.0;
      double best = 0.0;
      for (int i = 0; i < 3000 / group; ++i) {
        const std::vector<float> row = gaussian(rng, static_cast<size_t>(group));
        const Coded coded = round_trip(codec, row);
        const double error = distance2(row, coded.decoded);
        const double least = least_error(codec, row, exponent_value(coded.exponent));
        REQUIRE(error >= least * (1.0 - 1e-5));  // decoded values are rounded to float
        found += error;
        best += least;
      }
      CAPTURE(group, bits);
      // The window of candidates misses a few; a coordinate in steps is rounded to 1/16 level.
      CHECK(found < 1.01 * best);
    }
  }
}

TEST_CASE("codes are the nearest levels", "[row_codec]") {
  Rng rng(kSeed + 1, RngStream::kData);
  for (const int dim : {64, 80, 96, 128, 256}) {
    for (const int group : {16, 64}) {
      for (const int bits : {2, 3, 4, 8}) {
        const RowCodec codec = make(dim, bits, group);
        const std::vector<float> row = gaussian(rng, static_cast<size_t>(dim), 3.0);
        const Coded coded = round_trip(codec, row);
        CAPTURE(dim, group, bits);
        for (size_t j = 0; j < row.size(); ++j) {
          const uint8_t scale_byte = coded.scales[j / static_cast<size_t>(group)];
          const ScaleFormat format = codec.scale_format();
          const double scale = exponent_value(coded.exponent) * format.value(scale_byte) / 127.0;
          const double exact = row[j] / scale;
          double nearest = std::max(0.5, std::abs(exact) - 127.0);  // 8 bits: every integer
          if (bits != 8) {
            nearest = std::numeric_limits<double>::infinity();
            for (const int8_t level : codec.levels(format.book(scale_byte))) {
              nearest = std::min(nearest, std::abs(exact - level));
            }
          }
          // Half a step of 1/16 level on each side of a boundary.
          REQUIRE(std::abs(exact - coded.decoded[j] / scale) < nearest + 1.0 / 16 + 1e-4);
        }
      }
    }
  }
}

// Per value and relative to the variance; Gaussian groups, scales included in no way. For
// comparison, Lloyd-Max with one exact scale: 0.1175, 0.0345, 0.0095.
TEST_CASE("distortion of Gaussian rows", "[row_codec]") {
  struct Expected {
    int bits, group;
    double mse;
  };
  for (const Expected& expected :
       {Expected{4, 16, 0.00440}, Expected{4, 64, 0.00676}, Expected{3, 16, 0.01616},
        Expected{3, 64, 0.02735}, Expected{2, 16, 0.0659}, Expected{2, 64, 0.1057}}) {
    const RowCodec codec = make(128, expected.bits, expected.group);
    Rng rng(kSeed + 2, RngStream::kData);
    Sample relative;
    for (int i = 0; i < 4000; ++i) {
      const std::vector<float> row = gaussian(rng, 128);
      relative.add(distance2(row, round_trip(codec, row).decoded) / dot(row, row));
    }
    CAPTURE(expected.bits, expected.group, relative.mean(), relative.interval());
    CHECK(std::abs(relative.mean() - expected.mse) < relative.interval() + 0.01 * expected.mse);
  }
}

TEST_CASE("levels ascend and reach 127; boundaries lie half-way", "[row_codec]") {
  for (const int bits : {2, 3, 4}) {
    for (const int group : {16, 32, 64}) {
      const RowCodec codec = make(128, bits, group);
      for (int book = 0; book < codec.scale_format().n_books(); ++book) {
        const auto levels = codec.levels(book);
        REQUIRE(levels.size() == size_t{1} << bits);
        CHECK(std::max(-levels.front(), +levels.back()) == 127);
        for (size_t k = 0; k + 1 < levels.size(); ++k) {
          CHECK(levels[k] < levels[k + 1]);
          CHECK(codec.boundaries(book)[k] == 8 * (levels[k] + levels[k + 1]));
        }
      }
    }
  }
}

TEST_CASE("a factor of a power of two changes the exponent alone", "[row_codec]") {
  Rng rng(kSeed + 3, RngStream::kData);
  for (const int bits : {2, 3, 4, 8}) {
    const RowCodec codec = make(64, bits, 16);
    const std::vector<float> row = gaussian(rng, 64);
    const Coded coded = round_trip(codec, row);
    for (const int shift : {-90, -20, -1, 1, 60, 120}) {
      std::vector<float> scaled = row;
      for (float& value : scaled) value = std::ldexp(value, shift);
      const Coded other = round_trip(codec, scaled);
      CAPTURE(bits, shift);
      CHECK(other.codes == coded.codes);
      CHECK(other.scales == coded.scales);
      CHECK(other.exponent == coded.exponent + shift);
    }
  }
}

TEST_CASE("the shared exponent covers the largest magnitude", "[row_codec]") {
  for (const float largest : {0x1p-100f, 0x1.8p-70f, 0.75f, 1.0f, 1.5f, 3e30f, 0x1p125f}) {
    const float power = exponent_value(shared_exponent(largest));
    CAPTURE(largest);
    CHECK(largest < power);
    CHECK(2.0f * largest >= power);
  }
  CHECK(shared_exponent(0.0f) == 0);
  CHECK(shared_exponent(0x1.fp-101f) == 0);
  CHECK(exponent_value(0) == 0.0f);
  CHECK(shared_exponent(std::numeric_limits<float>::max()) == 253);
}

TEST_CASE("a scale byte is a sign, a codebook and a small float", "[row_codec]") {
  for (const int book_bits : {0, 1, 2}) {
    CAPTURE(book_bits);
    const ScaleFormat format{book_bits};
    const int n_magnitudes = format.largest() + 1;
    REQUIRE(n_magnitudes << book_bits == 128);
    for (int byte = 0; byte < 256; ++byte) {
      const int magnitude = byte % n_magnitudes;
      const int exponent = magnitude / 8;
      const double size = exponent == 0 ? magnitude : std::ldexp(8 + magnitude % 8, exponent - 1);
      const double last = std::ldexp(15.0, (n_magnitudes - 1) / 8 - 1);
      CAPTURE(byte);
      CHECK(format.value(static_cast<uint8_t>(byte)) ==
            (byte < 128 ? 1.875 : -1.875) * size / last);
      CHECK(format.book(static_cast<uint8_t>(byte)) == byte % 128 / n_magnitudes);
    }
    CHECK(2.0f * format.tiny() == format.value(1));
  }
}

TEST_CASE("zero, small and huge groups", "[row_codec]") {
  Rng rng(kSeed + 4, RngStream::kData);
  for (const int bits : {2, 3, 4, 8}) {
    CAPTURE(bits);
    const RowCodec codec = make(64, bits, 16);
    const Coded zero = round_trip(codec, std::vector<float>(64, 0.0f));
    CHECK(zero.decoded == std::vector<float>(64, 0.0f));
    CHECK(zero.scales == std::vector<uint8_t>(4, 0));

    // One group far below the others: relative to the exponent, at most the least scale of error.
    const float least_scale = codec.scale_format().value(1);
    std::vector<float> row = gaussian(rng, 64);
    for (size_t j = 16; j < 32; ++j) row[j] *= 0.25f * least_scale;
    for (size_t j = 32; j < 48; ++j) row[j] = 0.0f;
    const Coded uneven = round_trip(codec, row);
    CHECK(uneven.scales[2] == 0);
    const double least = static_cast<double>(exponent_value(uneven.exponent)) * least_scale;
    for (size_t j = 16; j < 48; ++j) CHECK(std::abs(row[j] - uneven.decoded[j]) <= least);

    // Rows beside a much larger one share its exponent; codebooks take bits from the range.
    constexpr float kLarge[] = {1000.0f, 100.0f, 10.0f};
    const uint8_t exponent = shared_exponent(kLarge[codec.scale_format().book_bits]);
    std::vector<uint8_t> codes(64), scales(4);
    std::vector<float> small = gaussian(rng, 64), decoded(64);
    REQUIRE(codec.encode(small, exponent, codes, scales).ok());
    codec.decode(codes, scales, exponent, decoded);
    CHECK(distance2(small, decoded) < 0.2 * dot(small, small));

    for (const float size : {1e-45f, 1e-38f, 1e-20f, 1e20f, 1e38f}) {
      for (float& value : small) value = size * static_cast<float>(rng.uniform());
      for (const float value : round_trip(codec, small).decoded) REQUIRE(std::isfinite(value));
    }
    std::vector<float> spike(64, 0.0f);
    spike[17] = std::numeric_limits<float>::max();
    for (const float value : round_trip(codec, spike).decoded) REQUIRE(std::isfinite(value));
  }
}

TEST_CASE("NaN, infinity, wrong sizes and shapes are refused", "[row_codec]") {
  const RowCodec codec = make(64, 4, 16);
  std::vector<uint8_t> codes(64), scales(4);
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
        -std::numeric_limits<float>::infinity()}) {
    for (const size_t where : {size_t{0}, size_t{31}, size_t{63}}) {
      std::vector<float> row(64, 1.0f);
      row[where] = bad;
      const auto result = codec.encode(row, 128, codes, scales);
      REQUIRE(!result.ok());
      CHECK(result.error().code == tq::Code::kInvalidArgument);
    }
  }
  const std::vector<float> row(64, 1.0f);
  CHECK(!codec.encode(std::vector<float>(63, 1.0f), 128, codes, scales).ok());
  CHECK(!codec.encode(std::vector<float>(65, 1.0f), 128, codes, scales).ok());
  CHECK(!codec.encode(row, 128, std::span(codes).first(63), scales).ok());
  CHECK(!codec.encode(row, 128, codes, std::span(scales).first(3)).ok());
  for (const RowShape& shape : {RowShape{0, 4, 16}, RowShape{257, 4, 16}, RowShape{64, 1, 16},
                                RowShape{64, 5, 16}, RowShape{64, 4, 15}, RowShape{64, 4, 65}}) {
    CAPTURE(shape.dim, shape.bits, shape.group);
    REQUIRE(!RowCodec::create(shape).ok());
    CHECK(RowCodec::create(shape).error().where == "row");
  }
  CHECK(make(80, 4, 64).shape().n_groups() == 2);
  CHECK(make(80, 4, 64).bits_per_value() == Approx(4.2));
}
