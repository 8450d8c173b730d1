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

std::vector<float> unit_vector(Rng& rng, size_t n) {
  std::vector<float> x = gaussian(rng, n);
  const double inverse = 1.0 / norm(x);
  for (float& value : x) value = static_cast<float>(value * inverse);
  return x;
}

}  // namespace

TEST_CASE("inner products are unbiased, with the variance of Theorem 2", "[turbo_ip]") {
  INFO("seed " << kSeed);
  for (const int dim : {64, 128}) {
    const auto n = static_cast<size_t>(dim);
    const int n_trials = dim == 64 ? 1500 : 500;  // the draw of S costs dim^2
    for (int bits = 1; bits <= 4; ++bits) {
      CAPTURE(dim, bits);
      Rng rng(kSeed + static_cast<uint64_t>(bits), RngStream::kData);
      // The statement is about the draw of Pi and S for fixed x and y: each trial draws anew. y
      // leans towards x, so that a bias by a factor would show.
      const std::vector<float> x = unit_vector(rng, n);
      std::vector<float> y = unit_vector(rng, n);
      for (size_t j = 0; j < n; ++j) y[j] = 0.8f * x[j] + 0.6f * y[j];
      Sample error;
      Sample square;
      for (int trial = 0; trial < n_trials; ++trial) {
        const TurboIp quantiser =
            TurboIp::create({.dim = dim, .bits = bits, .seed = static_cast<uint64_t>(trial)})
                .value();
        std::vector<float> score(1);
        REQUIRE(quantiser.score(y, quantiser.encode(x).value(), score).ok());
        const double e = score[0] - dot(y, x);
        error.add(e);
        square.add(e * e);
      }
      const double y2 = dot(y, y);
      const double bound =
          std::sqrt(3.0) * std::numbers::pi * std::numbers::pi * y2 / dim * std::pow(4.0, -bits);
      CAPTURE(error.mean(), error.interval(), square.mean(), bound);
      CHECK(error.within(0.0));
      CHECK(square.mean() < bound);
      // Given the residual r: ((pi/2)|r|^2|y|^2 - <y, r>^2)/d. At one bit r = x and <y, r> is
      // known; beyond, r is nearly orthogonal to y: E <y, r>^2 is of order D|y|^2/d plus (shrinkage
      // of x)^2, below D^2.
      const double residual = bits == 1 ? 1.0 : make_codebook(dim, bits - 1).value().mse;
      const double along =
          bits == 1 ? std::pow(dot(y, x), 2) : residual * residual + residual / dim;
      const double exact = std::numbers::pi / 2.0 * residual * y2 / dim;
      CHECK(square.mean() > exact - along * y2 / dim - square.interval());
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
