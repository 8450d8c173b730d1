#include "quant/row_codec.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <vector>

#include "quant/codebook.h"
#include "quant/float16.h"
#include "quant/random.h"

using tq::ScaleRule;
using tq::quant::fp16_to_float;
using tq::quant::Rng;
using tq::quant::RngStream;
using tq::quant::RowCodec;

namespace {

constexpr uint64_t kSeed = 77001;
constexpr double kFp16Eps = 0x1p-11;  // one rounding of a normal fp16

std::vector<float> gaussian_row(Rng& rng, int dim, double size = 1.0) {
  std::vector<float> row(static_cast<size_t>(dim));
  for (float& value : row) value = static_cast<float>(size * rng.gaussian());
  return row;
}

double dot(const std::vector<float>& a, const std::vector<float>& b) {
  double sum = 0.0;
  for (size_t i = 0; i < a.size(); ++i) sum += static_cast<double>(a[i]) * b[i];
  return sum;
}

struct Coded {
  std::vector<uint8_t> codes;
  uint16_t scale = 0;
  std::vector<float> decoded;
};

Coded round_trip(const RowCodec& codec, const std::vector<float>& row) {
  Coded coded;
  coded.codes.resize(row.size());
  coded.decoded.resize(row.size());
  coded.scale = codec.encode(row, coded.codes).value();
  codec.decode(coded.codes, coded.scale, coded.decoded);
  return coded;
}

}  // namespace

TEST_CASE("codes are the nearest centroids", "[row_codec]") {
  INFO("seed " << kSeed);
  Rng rng(kSeed, RngStream::kData);
  for (const int dim : {2, 64, 80, 128}) {
    for (int bits = 1; bits <= 8; ++bits) {
      const RowCodec codec = RowCodec::create(dim, bits, ScaleRule::kPlain).value();
      const tq::quant::Codebook book = tq::quant::make_codebook(dim, bits).value();
      for (int trial = 0; trial < 10; ++trial) {
        const std::vector<float> row = gaussian_row(rng, dim);
        const Coded coded = round_trip(codec, row);
        const double norm = std::sqrt(dot(row, row));
        for (size_t j = 0; j < row.size(); ++j) {
          const double t = row[j] / norm;
          double best = 10.0;
          for (const double c : book.centroids) best = std::min(best, std::abs(t - c));
          // The boundary is rounded to float: a code may be farther by that rounding only.
          REQUIRE(std::abs(t - book.centroids[coded.codes[j]]) <= best + 2e-7);
        }
      }
    }
  }
}

TEST_CASE("levels are antisymmetric int8 and ascending", "[row_codec]") {
  for (int bits = 1; bits <= 8; ++bits) {
    CAPTURE(bits);
    const RowCodec codec = RowCodec::create(128, bits, ScaleRule::kPlain).value();
    const auto levels = codec.levels();
    REQUIRE(levels.size() == size_t{1} << bits);
    REQUIRE(levels.back() == 127);
    for (size_t k = 0; k < levels.size(); ++k) {
      CHECK(levels[k] == -levels[levels.size() - 1 - k]);
      // From 7 bits on, neighbours may round to the same int8.
      if (k > 0) CHECK((bits <= 6 ? levels[k] > levels[k - 1] : levels[k] >= levels[k - 1]));
    }
  }
}

TEST_CASE("each scale rule keeps its promise on every row", "[row_codec]") {
  Rng rng(kSeed + 1, RngStream::kData);
  for (const int dim : {64, 96, 128, 256}) {
    for (int bits = 1; bits <= 8; ++bits) {
      const RowCodec match = RowCodec::create(dim, bits, ScaleRule::kMatched).value();
      const RowCodec unbias = RowCodec::create(dim, bits, ScaleRule::kUnbiased).value();
      for (int trial = 0; trial < 20; ++trial) {
        CAPTURE(dim, bits, trial);
        // Norms between 1 and 1e4: the scale is a normal fp16.
        const std::vector<float> row = gaussian_row(rng, dim, std::pow(10.0, 4.0 * rng.uniform()));
        const double norm2 = dot(row, row);
        // One rounding of the scale to fp16; the rest is exact but for float products.
        const double tolerance = 1.1 * kFp16Eps;

        const Coded matched = round_trip(match, row);
        CHECK(std::sqrt(dot(matched.decoded, matched.decoded) / norm2) ==
              Approx(1.0).epsilon(tolerance));

        const Coded unbiased = round_trip(unbias, row);
        CHECK(dot(unbiased.decoded, row) / norm2 == Approx(1.0).epsilon(tolerance));

        CHECK(matched.codes == unbiased.codes);
      }
    }
  }
}

TEST_CASE("score is the inner product with the decoded row", "[row_codec]") {
  Rng rng(kSeed + 2, RngStream::kData);
  const RowCodec codec = RowCodec::create(128, 4, ScaleRule::kUnbiased).value();
  for (int trial = 0; trial < 50; ++trial) {
    const std::vector<float> q = gaussian_row(rng, 128);
    const Coded coded = round_trip(codec, gaussian_row(rng, 128));
    const double expected = dot(q, coded.decoded);
    // scale (11 bits) * level (7 bits) is exact in float, so only double roundings differ.
    CHECK(codec.score(q, coded.codes, coded.scale) == Approx(expected).margin(1e-12));
  }
}

TEST_CASE("zero, tiny and huge rows stay finite", "[row_codec]") {
  Rng rng(kSeed + 3, RngStream::kData);
  for (const ScaleRule rule : {ScaleRule::kPlain, ScaleRule::kMatched, ScaleRule::kUnbiased}) {
    for (const int bits : {1, 2, 3, 4, 8}) {
      const RowCodec codec = RowCodec::create(64, bits, rule).value();
      const Coded zero = round_trip(codec, std::vector<float>(64, 0.0f));
      CHECK(zero.scale == 0);
      CHECK(zero.decoded == std::vector<float>(64, 0.0f));

      for (const double size : {1e-45, 1e-38, 1e-20, 1e-6, 1e6, 1e20, 3e37}) {
        CAPTURE(bits, size);
        const std::vector<float> row = gaussian_row(rng, 64, size);
        const Coded coded = round_trip(codec, row);
        for (const float value : coded.decoded) REQUIRE(std::isfinite(value));
        if (size >= 1e20) CHECK(coded.scale == 0x7bff);  // saturates at 65504
        if (size <= 1e-20) CHECK(coded.scale == 0);
      }
      // Codes do not depend on the size of the row, down to where floats themselves lose bits.
      std::vector<float> row = gaussian_row(rng, 64);
      const std::vector<uint8_t> codes = round_trip(codec, row).codes;
      for (float& value : row) value *= 0x1p100f;
      CHECK(round_trip(codec, row).codes == codes);

      std::vector<float> spike(64, 0.0f);
      spike[17] = std::numeric_limits<float>::max();
      for (const float value : round_trip(codec, spike).decoded) REQUIRE(std::isfinite(value));
    }
  }
}

TEST_CASE("NaN, infinity and wrong sizes are refused", "[row_codec]") {
  const RowCodec codec = RowCodec::create(64, 4, ScaleRule::kUnbiased).value();
  std::vector<uint8_t> codes(64);
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
        -std::numeric_limits<float>::infinity()}) {
    for (const size_t where : {size_t{0}, size_t{31}, size_t{63}}) {
      std::vector<float> row(64, 1.0f);
      row[where] = bad;
      const auto result = codec.encode(row, codes);
      REQUIRE(!result.ok());
      CHECK(result.error().code == tq::Code::kInvalidArgument);
    }
  }
  CHECK(!codec.encode(std::vector<float>(63, 1.0f), codes).ok());
  CHECK(!codec.encode(std::vector<float>(65, 1.0f), codes).ok());
  codes.resize(63);
  CHECK(!codec.encode(std::vector<float>(64, 1.0f), codes).ok());
  CHECK(RowCodec::create(1, 4, ScaleRule::kPlain).error().where == "dim");
  CHECK(RowCodec::create(64, 0, ScaleRule::kPlain).error().where == "bits");
  CHECK(RowCodec::create(64, 9, ScaleRule::kPlain).error().where == "bits");
}
