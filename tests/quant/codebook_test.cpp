#include "quant/codebook.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <numbers>
#include <vector>

using tq::quant::Codebook;
using tq::quant::make_codebook;

namespace {

// The centroid condition, by the midpoint rule on a fine grid in t: an integration that shares
// nothing with the implementation's. Error of order (width / steps)^2, far below the tolerance for
// d >= 16.
double conditional_mean(int dim, double from, double to) {
  constexpr int kSteps = 20000;
  double mass = 0.0;
  double moment = 0.0;
  for (int i = 0; i < kSteps; ++i) {
    const double t = from + (to - from) * (i + 0.5) / kSteps;
    const double f = std::pow(1.0 - t * t, 0.5 * (dim - 3));
    mass += f;
    moment += f * t;
  }
  return moment / mass;
}

}  // namespace

TEST_CASE("every centroid is the mean of its cell and every boundary a midpoint", "[codebook]") {
  for (const int dim : {16, 64, 80, 256}) {
    for (int bits = 1; bits <= 8; ++bits) {
      CAPTURE(dim, bits);
      const Codebook book = make_codebook(dim, bits).value();
      const size_t n = size_t{1} << bits;
      REQUIRE(book.centroids.size() == n);
      REQUIRE(book.boundaries.size() == n - 1);
      const double sigma = 1.0 / std::sqrt(dim);
      for (size_t k = 0; k < n; ++k) {
        // The outermost cell ends where the density is below e^-72 of its peak, or at 1.
        const double far = std::min(1.0, 12.0 * sigma);
        const double from = k == 0 ? -far : book.boundaries[k - 1];
        const double to = k + 1 == n ? far : book.boundaries[k];
        REQUIRE(std::abs(book.centroids[k] - conditional_mean(dim, from, to)) < 1e-8);
        REQUIRE(book.centroids[k] == -book.centroids[n - 1 - k]);
        if (k > 0) {
          const double middle = 0.5 * (book.centroids[k - 1] + book.centroids[k]);
          REQUIRE(std::abs(book.boundaries[k - 1] - middle) < 1e-15);
          REQUIRE(book.centroids[k - 1] < book.centroids[k]);
        }
      }
    }
  }
}

TEST_CASE("codebooks of three dimensions are uniform, of two follow the arcsine law",
          "[codebook]") {
  // d = 3: Archimedes' hat box, the density is constant, so the optimum is the uniform quantiser.
  for (int bits = 1; bits <= 8; ++bits) {
    const Codebook book = make_codebook(3, bits).value();
    const auto n = static_cast<double>(book.centroids.size());
    for (size_t k = 0; k < book.centroids.size(); ++k) {
      REQUIRE(book.centroids[k] == Approx(-1.0 + (2.0 * k + 1.0) / n).margin(1e-13));
    }
    REQUIRE(book.mse == Approx(std::pow(4.0, -bits)).epsilon(1e-10));  // = 3 * (2/n)^2 / 12
  }
  // d = 2: E|cos| = 2/pi.
  CHECK(make_codebook(2, 1).value().centroids[1] == Approx(2.0 / std::numbers::pi).epsilon(1e-13));
}

TEST_CASE("one bit tends to sqrt(2 / (pi d))", "[codebook]") {
  for (const int dim : {64, 128, 1024, 1'000'000}) {
    CAPTURE(dim);
    const double limit = std::sqrt(2.0 / (std::numbers::pi * dim));
    const double c = make_codebook(dim, 1).value().centroids[1];
    // Exactly Gamma(d/2) / (sqrt(pi) Gamma((d+1)/2)) = limit * (1 + 1/(4d) + O(1/d^2)).
    CHECK(c / limit - 1.0 == Approx(0.25 / dim).epsilon(0.02).margin(1e-12));
  }
}

TEST_CASE("a large dimension gives the Lloyd-Max quantiser of N(0, 1)", "[codebook]") {
  // Five digits of the classic tables (Max 1960), so half a unit of the last one; the difference
  // between d = 10^7 and the limit is of order 1e-7.
  const std::vector<std::vector<double>> expected = {
      {0.79788},
      {0.45278, 1.51042},
      {0.24509, 0.75601, 1.34391, 2.15195},
      {0.1284, 0.38805, 0.65676, 0.94234, 1.25623, 1.61805, 2.06902, 2.73259}};
  const std::vector<double> mse = {0.3634, 0.1175, 0.03455, 0.00950};
  constexpr int kDim = 10'000'000;
  for (int bits = 1; bits <= 4; ++bits) {
    const Codebook book = make_codebook(kDim, bits).value();
    const auto& half = expected[static_cast<size_t>(bits - 1)];
    for (size_t k = 0; k < half.size(); ++k) {
      CAPTURE(bits, k);
      CHECK(std::abs(book.centroids[half.size() + k] * std::sqrt(kDim) - half[k]) < 6e-6);
    }
    CHECK(book.mse == Approx(mse[static_cast<size_t>(bits - 1)]).epsilon(6e-4));
    CHECK(book.mse < tq::quant::theorem1_bound(bits));
  }
}

TEST_CASE("the outermost 4-bit centroids are those of the Beta density", "[codebook]") {
  CHECK(std::abs(make_codebook(64, 4).value().centroids.back() * 8.0 - 2.646) < 5e-4);
  CHECK(std::abs(make_codebook(128, 4).value().centroids.back() * std::sqrt(128.0) - 2.689) < 5e-4);
  CHECK(std::abs(make_codebook(256, 4).value().centroids.back() * 16.0 - 2.711) < 5e-4);
}

TEST_CASE("the theory of the mse obeys Theorem 1 and falls with each bit", "[codebook]") {
  for (const int dim : {2, 3, 4, 5, 7, 16, 64, 80, 128, 4096}) {
    double previous = 1.0;
    for (int bits = 1; bits <= 8; ++bits) {
      CAPTURE(dim, bits);
      const double mse = make_codebook(dim, bits).value().mse;
      CHECK(mse > 0.0);
      // Each bit divides it by 2.7 at first and by almost 4 later.
      CHECK(mse < previous / 2.5);
      CHECK(mse < tq::quant::theorem1_bound(bits));
      previous = mse;
    }
  }
}

TEST_CASE("rounding 4-bit centroids to int8 costs less than half a percent", "[codebook]") {
  for (const int dim : {64, 128, 256}) {
    const Codebook book = make_codebook(dim, 4).value();
    std::vector<double> levels;
    const double unit = book.centroids.back() / 127.0;
    for (const double c : book.centroids) levels.push_back(std::round(c / unit) * unit);
    const double cost = tq::quant::mse_with_levels(book, levels) / book.mse - 1.0;
    CAPTURE(dim, cost);
    CHECK(cost >= 0.0);  // the centroids are optimal for their cells
    CHECK(cost < 0.005);
  }
}

TEST_CASE("a codebook refuses dimensions and bits it cannot have", "[codebook]") {
  CHECK(make_codebook(1, 4).error().where == "dim");
  CHECK(make_codebook(-5, 4).error().where == "dim");
  CHECK(make_codebook(tq::quant::kCodebookDimMax + 1, 4).error().where == "dim");
  CHECK(make_codebook(64, 0).error().where == "bits");
  CHECK(make_codebook(64, 9).error().where == "bits");
}
