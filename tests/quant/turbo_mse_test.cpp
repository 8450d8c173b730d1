#include "quant/turbo_mse.h"

#include <catch2/catch.hpp>
#include <limits>
#include <vector>

#include "tests/quant/support.h"

using namespace tq::quant;
using namespace tq::quant::testing;
using tq::RotationKind;
using tq::quant::ScaleRule;

namespace {

constexpr uint64_t kSeed = 90210;

std::vector<float> round_trip(const TurboMse& quantiser, std::span<const float> rows) {
  std::vector<float> decoded(rows.size());
  REQUIRE(quantiser.decode(quantiser.encode(rows).value(), decoded).ok());
  return decoded;
}

}  // namespace

TEST_CASE("distortion equals the theory, between Theorems 3 and 1", "[turbo_mse]") {
  INFO("seed " << kSeed);
  for (const int dim : {64, 96, 128, 256}) {
    const auto n = static_cast<size_t>(dim);
    // Of long rows, fewer see as much, and a dense rotation costs dim^2.
    const size_t n_rows = dim <= 128 ? 4000 : 2000;
    for (const RotationKind kind : {RotationKind::kHadamard, RotationKind::kQr}) {
      if (kind == RotationKind::kHadamard && dim == 96) continue;  // no power of two
      for (int bits = 1; bits <= (dim == 64 || dim == 128 ? 8 : 4); ++bits) {
        CAPTURE(dim, static_cast<int>(kind), bits);
        const TurboMse quantiser =
            TurboMse::create({.dim = dim, .bits = bits, .seed = kSeed, .rotation = kind}).value();
        // Directions of Gaussian vectors are uniform on the sphere, and so are their rotations.
        Rng rng(kSeed + static_cast<uint64_t>(bits), RngStream::kData);
        const std::vector<float> rows = gaussian(rng, n_rows * n, 3.0);
        const std::vector<float> decoded = round_trip(quantiser, rows);
        Sample relative;
        for (size_t start = 0; start < rows.size(); start += n) {
          const auto x = std::span(rows).subspan(start, n);
          relative.add(distance2(x, std::span(decoded).subspan(start, n)) / dot(x, x));
        }
        CAPTURE(relative.mean(), relative.interval(), quantiser.theory_mse());
        CHECK(relative.within(quantiser.theory_mse()));
        // The test has power; less of it at many bits, where rare coordinates beyond the last
        // centroid make most of the variance.
        CHECK(relative.interval() < (bits <= 4 ? 0.05 : 0.08) * quantiser.theory_mse());
        CHECK(relative.mean() < theorem1_bound(bits));
        if (bits <= 4) CHECK(relative.mean() + relative.interval() < theorem1_bound(bits));
        // No quantiser of that many bits does better (Theorem 3): the measurement is no dream.
        CHECK(relative.mean() - relative.interval() > std::pow(4.0, -bits));
      }
    }
  }
}

TEST_CASE("a Haar rotation makes the worst vector an average one", "[turbo_mse]") {
  // One non-zero coordinate, rotations at random: the distortion is the theory's although x is
  // fixed.
  std::vector<float> spike(64, 0.0f);
  spike[3] = 2.0f;
  for (const int bits : {2, 4}) {
    Sample relative;
    for (uint64_t seed = 0; seed < 400; ++seed) {
      const TurboMse quantiser =
          TurboMse::create({.dim = 64, .bits = bits, .seed = seed, .rotation = RotationKind::kQr})
              .value();
      relative.add(distance2(spike, round_trip(quantiser, spike)) / 4.0);
    }
    CAPTURE(bits, relative.mean(), relative.interval());
    CHECK(relative.within(make_codebook(64, bits).value().mse));
  }
}

TEST_CASE("the scale rules: matched norms, unbiased products, plain shrinkage", "[turbo_mse]") {
  constexpr size_t kRows = 2500;
  for (const int dim : {64, 80, 96, 128, 256}) {
    const auto n = static_cast<size_t>(dim);
    for (int bits = 1; bits <= 4; ++bits) {
      CAPTURE(dim, bits);
      Rng rng(kSeed + 10, RngStream::kData);
      const std::vector<float> rows = gaussian(rng, kRows * n);
      const std::vector<float> noise = gaussian(rng, kRows * n);
      const auto decode = [&](ScaleRule rule) {
        return round_trip(
            TurboMse::create({.dim = dim, .bits = bits, .seed = kSeed, .scale_rule = rule}).value(),
            rows);
      };
      const std::vector<float> plain = decode(ScaleRule::kPlain);
      const std::vector<float> matched = decode(ScaleRule::kMatched);
      const std::vector<float> unbiased = decode(ScaleRule::kUnbiased);
      Sample plain_slope;
      Sample unbiased_slope;
      std::vector<float> q(n);
      for (size_t start = 0; start < rows.size(); start += n) {
        const auto x = std::span(rows).subspan(start, n);
        // q = x/|x| + an independent direction: <q, x> is positive, and given it, what q has
        // orthogonal to x is symmetric, so <q, x~>/<q, x> has exactly the mean of <x, x~>/<x, x>.
        const auto other = std::span(noise).subspan(start, n);
        for (size_t j = 0; j < n; ++j) {
          q[j] = static_cast<float>(x[j] / norm(x) + 0.3 * other[j] / norm(other));
        }
        const double expected = dot(q, x);
        plain_slope.add(dot(q, std::span(plain).subspan(start, n)) / expected);
        unbiased_slope.add(dot(q, std::span(unbiased).subspan(start, n)) / expected);
        // The un-rotation adds at most dim roundings per value, the scale one.
        const double tolerance = (dim + 4) * kFloatEps;
        const double ratio = norm(std::span(matched).subspan(start, n)) / norm(x);
        REQUIRE(std::abs(ratio - 1.0) < tolerance);
        const double own = dot(x, std::span(unbiased).subspan(start, n)) / dot(x, x);
        REQUIRE(std::abs(own - 1.0) < 4.0 * tolerance);  // rotation of x and of x~
      }
      const double shrunk = 1.0 - make_codebook(dim, bits).value().mse;
      CAPTURE(plain_slope.mean(), plain_slope.interval(), shrunk, unbiased_slope.mean());
      CHECK(plain_slope.within(shrunk));
      CHECK(!plain_slope.within(1.0));  // the shrinkage is real, and this sample can see it
      CHECK(unbiased_slope.within(1.0));
    }
  }
}

TEST_CASE("int8 centroids cost what the theory says", "[turbo_mse]") {
  for (const int bits : {2, 3, 4}) {
    const auto make = [&](CentroidPrecision precision) {
      return TurboMse::create({.dim = 128, .bits = bits, .seed = 1, .centroids = precision})
          .value();
    };
    const TurboMse exact = make(CentroidPrecision::kFloat32);
    const TurboMse rounded = make(CentroidPrecision::kInt8);
    CAPTURE(bits);
    CHECK(rounded.theory_mse() >= exact.theory_mse());
    CHECK(rounded.theory_mse() < 1.005 * exact.theory_mse());
    for (const float level : rounded.levels()) {
      const double steps = level * 127.0 / rounded.levels().back();
      CHECK(std::abs(steps - std::round(steps)) < 127.0 * 2.0 * kFloatEps);
    }
    Rng rng(kSeed + 20, RngStream::kData);
    const std::vector<float> rows = gaussian(rng, 2000 * 128);
    const std::vector<float> decoded = round_trip(rounded, rows);
    Sample relative;
    for (size_t start = 0; start < rows.size(); start += 128) {
      const auto x = std::span(rows).subspan(start, 128);
      relative.add(distance2(x, std::span(decoded).subspan(start, 128)) / dot(x, x));
    }
    CHECK(relative.within(rounded.theory_mse()));
  }
}

TEST_CASE("scores are inner products with decoded rows, without un-rotating", "[turbo_mse]") {
  Rng rng(kSeed + 30, RngStream::kData);
  for (const int dim : {64, 80, 128}) {
    const auto n = static_cast<size_t>(dim);
    const TurboMse quantiser =
        TurboMse::create({.dim = dim, .bits = 3, .seed = kSeed, .scale_rule = ScaleRule::kUnbiased})
            .value();
    const std::vector<float> rows = gaussian(rng, 50 * n, 4.0);
    const std::vector<float> q = gaussian(rng, n, 2.0);
    const TurboMseRows encoded = quantiser.encode(rows).value();
    std::vector<float> decoded(rows.size());
    std::vector<float> scores(50);
    REQUIRE(quantiser.decode(encoded, decoded).ok());
    REQUIRE(quantiser.score(q, encoded, scores).ok());
    for (size_t i = 0; i < 50; ++i) {
      const auto row = std::span(decoded).subspan(i * n, n);
      // Either way is one rotation from the other: dim roundings of terms that sum to |q||row| at
      // most.
      CHECK(std::abs(scores[i] - dot(q, row)) < 2.0 * dim * kFloatEps * norm(q) * norm(row));
    }
  }
}

TEST_CASE("zero, tiny and huge vectors stay finite and keep their scale", "[turbo_mse]") {
  Rng rng(kSeed + 40, RngStream::kData);
  for (const ScaleRule rule : {ScaleRule::kPlain, ScaleRule::kMatched, ScaleRule::kUnbiased}) {
    for (const int dim : {64, 80}) {
      const auto n = static_cast<size_t>(dim);
      const TurboMse quantiser =
          TurboMse::create({.dim = dim, .bits = 4, .seed = 3, .scale_rule = rule}).value();
      CHECK(round_trip(quantiser, std::vector<float>(n, 0.0f)) == std::vector<float>(n, 0.0f));
      const std::vector<float> row = gaussian(rng, n);
      const TurboMseRows one = quantiser.encode(row).value();
      for (const float factor : {0x1p-100f, 0x1p-60f, 0x1p60f, 0x1p120f}) {
        std::vector<float> scaled = row;
        for (float& value : scaled) value *= factor;
        const TurboMseRows other = quantiser.encode(scaled).value();
        CHECK(other.codes == one.codes);
        CHECK(other.scales[0] == one.scales[0] * factor);  // powers of two: exact
      }
      const std::vector<float> largest(n, std::numeric_limits<float>::max());
      for (const float value : round_trip(quantiser, largest)) REQUIRE(std::isfinite(value));
      std::vector<float> score(1);
      REQUIRE(quantiser.score(largest, quantiser.encode(largest).value(), score).ok());
      CHECK(score[0] == std::numeric_limits<float>::max());  // saturates
      const std::vector<float> smallest(n, std::numeric_limits<float>::denorm_min());
      for (const float value : round_trip(quantiser, smallest)) REQUIRE(std::isfinite(value));
    }
  }
}

TEST_CASE("NaN, infinity and wrong sizes are refused, naming the field", "[turbo_mse]") {
  const TurboMse quantiser = TurboMse::create({.dim = 64, .bits = 4}).value();
  std::vector<float> rows(128, 1.0f);
  const TurboMseRows encoded = quantiser.encode(rows).value();
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
        -std::numeric_limits<float>::infinity()}) {
    std::vector<float> poisoned = rows;
    poisoned[100] = bad;
    CHECK(quantiser.encode(poisoned).error().where == "rows");
    std::vector<float> scores(2);
    CHECK(!quantiser.score(std::span(poisoned).last(64), encoded, scores).ok());
  }
  CHECK(quantiser.encode(std::span(rows).first(127)).error().where == "rows");
  CHECK(quantiser.decode(encoded, std::span(rows).first(64)).error().where == "rows");
  std::vector<float> scores(2);
  CHECK(quantiser.score(std::span(rows).first(63), encoded, scores).error().where == "q");
  CHECK(quantiser.score(std::span(rows).first(64), encoded, std::span(scores).first(1))
            .error()
            .where == "scores");
  TurboMseRows torn = encoded;
  torn.codes.pop_back();
  CHECK(quantiser.decode(torn, rows).error().where == "codes");
  CHECK(quantiser.encode({}).value().scales.empty());  // no rows is fine

  CHECK(TurboMse::create({.dim = 0}).error().where == "dim");
  CHECK(TurboMse::create({.dim = 64, .bits = 9}).error().where == "bits");
  CHECK(TurboMse::create({.dim = 96, .rotation = RotationKind::kHadamard}).error().where ==
        "rotation");
}

TEST_CASE("seeds are honoured and no quantiser disturbs another", "[turbo_mse]") {
  Rng rng(kSeed + 50, RngStream::kData);
  for (const int dim : {96, 128}) {
    const std::vector<float> rows = gaussian(rng, 3 * static_cast<size_t>(dim));
    const auto make = [&](uint64_t seed) {
      return TurboMse::create({.dim = dim, .bits = 4, .seed = seed}).value();
    };
    const auto alone = make(1).encode(rows).value();
    // Made and used in turns, each still gives what it gives alone.
    const TurboMse first = make(1);
    const TurboMse second = make(2);
    const auto other = second.encode(rows).value();
    CHECK(first.encode(rows).value().codes == alone.codes);
    CHECK(other.codes != alone.codes);
    CHECK(other.scales == alone.scales);
    std::vector<float> decoded(rows.size());
    REQUIRE(first.decode(alone, decoded).ok());
    CHECK(distance2(rows, decoded) / dot(rows, rows) < 0.02);
    // And codes of one seed mean nothing to another: the error of unrelated vectors is near 2.
    REQUIRE(second.decode(alone, decoded).ok());
    CHECK(distance2(rows, decoded) / dot(rows, rows) > 1.0);
  }
}

TEST_CASE("a batch equals its rows, and sizes are as promised", "[turbo_mse]") {
  Rng rng(kSeed + 60, RngStream::kData);
  const TurboMse quantiser = TurboMse::create({.dim = 128, .bits = 3, .seed = 4}).value();
  const std::vector<float> rows = gaussian(rng, 5 * 128);
  const TurboMseRows all = quantiser.encode(rows).value();
  for (size_t i = 0; i < 5; ++i) {
    const TurboMseRows one = quantiser.encode(std::span(rows).subspan(i * 128, 128)).value();
    const auto part = std::span(all.codes).subspan(i * 48, 48);
    CHECK(std::equal(part.begin(), part.end(), one.codes.begin(), one.codes.end()));
    CHECK(one.scales[0] == all.scales[i]);
  }
  CHECK(quantiser.row_bytes() == 48 + 4);
  CHECK(quantiser.bits_per_value() == 3.25);
  // Compression against bf16 rows, the scale included: 2 * 128 / (64 + 4) at 4 bits.
  const TurboMse four = TurboMse::create({.dim = 128, .bits = 4}).value();
  CHECK(256.0 / static_cast<double>(four.row_bytes()) == Approx(3.7647).epsilon(1e-4));
}

TEST_CASE("any dimension, width, seed and rule keeps the promises", "[turbo_mse][property]") {
  Rng rng(kSeed + 70, RngStream::kData);
  for (int trial = 0; trial < 150; ++trial) {
    const int dim = 2 + rng.below(120);
    const int bits = 1 + rng.below(8);
    const uint64_t seed = rng.bits();
    CAPTURE(trial, dim, bits, seed);
    const auto n = static_cast<size_t>(dim);
    std::vector<float> row = gaussian(rng, n, std::pow(10.0, 30.0 * rng.uniform() - 15.0));
    // Zeros, repeats and spikes, where coordinates fall on boundaries.
    for (int i = rng.below(dim); i > 0; --i) row[static_cast<size_t>(rng.below(dim))] = 0.0f;
    if (rng.below(4) == 0) row[static_cast<size_t>(rng.below(dim))] *= 1000.0f;
    if (norm(row) == 0.0) row[0] = 1.0f;
    const auto make = [&](ScaleRule rule) {
      return TurboMse::create({.dim = dim, .bits = bits, .seed = seed, .scale_rule = rule}).value();
    };
    const TurboMse matched = make(ScaleRule::kMatched);
    const TurboMseRows encoded = matched.encode(row).value();
    CHECK(encoded.codes == matched.encode(row).value().codes);
    const double tolerance = 4.0 * (dim + 4) * kFloatEps;
    CHECK(norm(round_trip(matched, row)) == Approx(norm(row)).epsilon(tolerance));
    const std::vector<float> unbiased = round_trip(make(ScaleRule::kUnbiased), row);
    // |x~| >= |x|, so its roundings count against <x, x~> = |x|^2 by |x~|/|x|.
    CHECK(dot(row, unbiased) / dot(row, row) ==
          Approx(1.0).epsilon(tolerance * norm(unbiased) / norm(row)));
  }
}
