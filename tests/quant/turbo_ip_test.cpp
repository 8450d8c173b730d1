#include "quant/turbo_ip.h"

#include <catch2/catch.hpp>
#include <limits>
#include <numbers>
#include <vector>

#include "quant/codebook.h"
#include "tests/quant/support.h"

using namespace tq::quant;
using namespace tq::quant::testing;

namespace {

constexpr uint64_t kSeed = 60606;

std::vector<float> unit_vectors(Rng& rng, size_t n_rows, size_t dim) {
  std::vector<float> rows = gaussian(rng, n_rows * dim);
  for (size_t start = 0; start < rows.size(); start += dim) {
    const std::span<float> row = std::span(rows).subspan(start, dim);
    const double inverse = 1.0 / norm(row);
    for (float& value : row) value = static_cast<float>(value * inverse);
  }
  return rows;
}

}  // namespace

TEST_CASE("inner products are unbiased, with the variance of Theorem 2", "[turbo_ip]") {
  INFO("seed " << kSeed);
  constexpr size_t kPairs = 16;
  for (const int dim : {64, 96, 128, 256}) {
    const auto n = static_cast<size_t>(dim);
    const int n_draws = dim <= 64 ? 300 : dim <= 128 ? 150 : 60;  // the draw of S costs dim^2
    for (int bits = 1; bits <= 4; ++bits) {
      CAPTURE(dim, bits);
      Rng rng(kSeed + static_cast<uint64_t>(bits), RngStream::kData);
      // Given the residual r: ((pi/2)|r|^2|y|^2 - <y, r>^2)/d. At one bit r = x and <y, r> is
      // known; beyond, r is nearly orthogonal to y: E <y, r>^2 is of order D|y|^2/d plus (shrinkage
      // of x)^2, below D^2.
      const double residual = bits == 1 ? 1.0 : make_codebook(dim, bits - 1).value().mse;
      double y2 = 0.0;  // means over the pairs
      double product = 0.0;
      double exact = 0.0;
      double along = 0.0;
      const std::vector<float> x = unit_vectors(rng, kPairs, n);
      std::vector<float> y = unit_vectors(rng, kPairs, n);
      for (size_t j = 0; j < y.size(); ++j) y[j] = 0.8f * x[j] + 0.6f * y[j];
      for (size_t start = 0; start < x.size(); start += n) {
        const std::span<const float> y_i = std::span(y).subspan(start, n);
        const double own = dot(y_i, std::span(x).subspan(start, n));
        const double y2_i = dot(y_i, y_i);
        y2 += y2_i / kPairs;
        product += own / kPairs;
        exact += std::numbers::pi / 2.0 * residual * y2_i / dim / kPairs;
        along += (bits == 1 ? own * own : (residual * residual + residual / dim) * y2_i) / kPairs;
      }
      // The statement is about the draw of Pi and S for fixed x and y: each draw is one independent
      // value, the mean over the pairs. y leans towards x, so that a bias by a factor would show.
      Sample error;
      Sample square;
      for (int draw = 0; draw < n_draws; ++draw) {
        const TurboIp quantiser =
            TurboIp::create({.dim = dim, .bits = bits, .seed = static_cast<uint64_t>(draw)})
                .value();
        std::vector<float> decoded(x.size());
        REQUIRE(quantiser.decode(quantiser.encode(x).value(), decoded).ok());
        double draw_error = 0.0;
        double draw_square = 0.0;
        for (size_t start = 0; start < x.size(); start += n) {
          const std::span<const float> y_i = std::span(y).subspan(start, n);
          const double e = dot(y_i, std::span(decoded).subspan(start, n)) -
                           dot(y_i, std::span(x).subspan(start, n));
          draw_error += e / kPairs;
          draw_square += e * e / kPairs;
        }
        error.add(draw_error);
        square.add(draw_square);
      }
      const double lower = y2 / dim * std::pow(4.0, -bits);  // Theorem 3
      const double upper = std::sqrt(3.0) * std::numbers::pi * std::numbers::pi * lower;
      CAPTURE(error.mean(), error.interval(), square.mean(), square.interval(), exact, upper);
      CHECK(error.within(0.0));
      // Power: without its projection the quantiser would shrink <y, x> by the residual's share.
      CHECK(error.interval() < residual * product / 4.0);
      CHECK(square.mean() + square.interval() < upper);
      CHECK(square.mean() - square.interval() > lower);
      CHECK(square.mean() > exact - along / dim - square.interval());
      CHECK(square.mean() < exact + square.interval());
      if (bits == 1) CHECK(square.within(exact - along / dim));
    }
  }
}

TEST_CASE("the variance the class states is that of the theory", "[turbo_ip]") {
  // (pi/2) D_mse(b - 1) with the Gaussian values 1, 0.3634, 0.1175, 0.03455, to which d = 2048 is
  // close.
  const double expected[] = {1.571, 0.571, 0.185, 0.054};
  for (int bits = 1; bits <= 4; ++bits) {
    const TurboIp quantiser = TurboIp::create({.dim = 512, .bits = bits}).value();
    CHECK(quantiser.theory_variance() * 512 == Approx(expected[bits - 1]).epsilon(0.01));
  }
}

TEST_CASE("scores are inner products with decoded rows", "[turbo_ip]") {
  Rng rng(kSeed + 30, RngStream::kData);
  for (const int dim : {64, 80}) {
    const auto n = static_cast<size_t>(dim);
    for (int bits = 1; bits <= 8; ++bits) {
      const TurboIp quantiser = TurboIp::create({.dim = dim, .bits = bits, .seed = 9}).value();
      const std::vector<float> rows = gaussian(rng, 20 * n, 3.0);
      const std::vector<float> q = gaussian(rng, n);
      const TurboIpRows encoded = quantiser.encode(rows).value();
      std::vector<float> decoded(rows.size());
      std::vector<float> scores(20);
      REQUIRE(quantiser.decode(encoded, decoded).ok());
      REQUIRE(quantiser.score(q, encoded, scores).ok());
      for (size_t i = 0; i < 20; ++i) {
        const double expected = dot(q, std::span(decoded).subspan(i * n, n));
        // Rotation and projection, in either order: 2 dim roundings of terms up to |q| |S| |x|, and
        // the projection of a sign vector is at most 2 sqrt(d) sqrt(d) long, times sqrt(pi/2)/d: a
        // factor 3.
        const double size = norm(q) * norm(std::span(rows).subspan(i * n, n));
        CHECK(std::abs(scores[i] - expected) < 2.0 * dim * kFloatEps * 3.0 * size);
      }
    }
  }
}

TEST_CASE("zero and extreme vectors, bad input and sizes", "[turbo_ip]") {
  const TurboIp quantiser = TurboIp::create({.dim = 64, .bits = 3, .seed = 2}).value();
  std::vector<float> decoded(64);
  const std::vector<float> zero(64, 0.0f);
  REQUIRE(quantiser.decode(quantiser.encode(zero).value(), decoded).ok());
  CHECK(decoded == zero);
  const std::vector<float> largest(64, std::numeric_limits<float>::max());
  REQUIRE(quantiser.decode(quantiser.encode(largest).value(), decoded).ok());
  for (const float value : decoded) REQUIRE(std::isfinite(value));
  const std::vector<float> smallest(64, std::numeric_limits<float>::denorm_min());
  REQUIRE(quantiser.decode(quantiser.encode(smallest).value(), decoded).ok());
  for (const float value : decoded) REQUIRE(std::isfinite(value));

  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    std::vector<float> row(64, 1.0f);
    row[63] = bad;
    CHECK(quantiser.encode(row).error().where == "rows");
  }
  CHECK(quantiser.encode(std::span(zero).first(63)).error().where == "rows");
  const TurboIpRows encoded = quantiser.encode(largest).value();
  CHECK(quantiser.decode(encoded, std::span(decoded).first(63)).error().where == "rows");
  std::vector<float> scores(1);
  CHECK(quantiser.score(std::span(zero).first(63), encoded, scores).error().where == "q");
  CHECK(quantiser.score(zero, encoded, {}).error().where == "scores");
  TurboIpRows torn = encoded;
  torn.gammas.clear();
  CHECK(quantiser.decode(torn, decoded).error().where == "gammas");
  torn = encoded;
  torn.codes.pop_back();
  CHECK(quantiser.decode(torn, decoded).error().where == "codes");

  CHECK(TurboIp::create({.dim = 64, .bits = 0}).error().where == "bits");
  CHECK(TurboIp::create({.dim = 64, .bits = 9}).error().where == "bits");
  CHECK(TurboIp::create({.dim = 1, .bits = 2}).error().where == "dim");
}

TEST_CASE("IP codes depend on the seed alone, and sizes are as promised", "[turbo_ip]") {
  Rng rng(kSeed + 50, RngStream::kData);
  const std::vector<float> rows = gaussian(rng, 2 * 128);
  const TurboIp first = TurboIp::create({.dim = 128, .bits = 3, .seed = 1}).value();
  const TurboIp second = TurboIp::create({.dim = 128, .bits = 3, .seed = 2}).value();
  const auto a = first.encode(rows).value();
  CHECK(second.encode(rows).value().codes != a.codes);
  CHECK(first.encode(rows).value().codes == a.codes);
  CHECK(TurboIp::create({.dim = 128, .bits = 3, .seed = 1}).value().encode(rows).value().codes ==
        a.codes);
  CHECK(first.code_bytes() == 32 + 16);
  CHECK(first.bits_per_value() == 3.5);  // norm and gamma in float
}
