#include "quant/rotation.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <vector>

#include "quant/random.h"

using tq::RotationKind;
using tq::quant::Rng;
using tq::quant::RngStream;
using tq::quant::Rotation;

namespace {

constexpr uint64_t kSeed = 20240501;
constexpr double kEps = 0x1p-24;  // one float rounding

std::vector<float> gaussian(size_t n, uint64_t seed) {
  Rng rng(seed, RngStream::kData);
  std::vector<float> values(n);
  for (float& value : values) value = static_cast<float>(rng.gaussian());
  return values;
}

// Columns of Pi, by applying it to the unit vectors: row i of the result is Pi e_i.
std::vector<float> images_of_unit_vectors(const Rotation& rotation) {
  const auto n = static_cast<size_t>(rotation.dim());
  std::vector<float> rows(n * n, 0.0f);
  for (size_t i = 0; i < n; ++i) rows[i * n + i] = 1.0f;
  rotation.apply(rows);
  return rows;
}

struct Case {
  RotationKind kind;
  int dim;
};

std::vector<Case> all_cases() {
  std::vector<Case> cases;
  for (const int dim : {64, 80, 96, 128, 256}) cases.push_back({RotationKind::kQr, dim});
  for (const int dim : {2, 64, 128, 256}) cases.push_back({RotationKind::kHadamard, dim});
  cases.push_back({RotationKind::kQr, 2});
  cases.push_back({RotationKind::kQr, 3});
  return cases;
}

}  // namespace

TEST_CASE("a rotation is orthogonal, and its inverse is its transpose", "[rotation]") {
  INFO("seed " << kSeed);
  for (const Case& c : all_cases()) {
    CAPTURE(c.dim, static_cast<int>(c.kind));
    const Rotation rotation =
        Rotation::create({.kind = c.kind, .dim = c.dim, .seed = kSeed}).value();
    const auto n = static_cast<size_t>(c.dim);
    const std::vector<float> images = images_of_unit_vectors(rotation);
    // Entries are rounded to float once (QR) or exact sums of +-1/dim (Hadamard), so a Gram entry
    // is off by at most 2 eps sum |a||b| <= 2 eps.
    double worst = 0.0;
    for (size_t i = 0; i < n; ++i) {
      for (size_t k = 0; k < n; ++k) {
        double sum = 0.0;
        for (size_t j = 0; j < n; ++j) {
          sum += static_cast<double>(images[i * n + j]) * images[k * n + j];
        }
        worst = std::max(worst, std::abs(sum - (i == k ? 1.0 : 0.0)));
      }
    }
    CHECK(worst < 4.0 * kEps);

    std::vector<float> transposed(n * n, 0.0f);
    for (size_t i = 0; i < n; ++i) transposed[i * n + i] = 1.0f;
    rotation.apply_inverse(transposed);
    for (size_t i = 0; i < n; ++i) {
      for (size_t j = 0; j < n; ++j) REQUIRE(transposed[i * n + j] == images[j * n + i]);
    }
  }
}

TEST_CASE("apply keeps norms and apply_inverse undoes it", "[rotation]") {
  for (const Case& c : all_cases()) {
    CAPTURE(c.dim, static_cast<int>(c.kind));
    const Rotation rotation =
        Rotation::create({.kind = c.kind, .dim = c.dim, .seed = kSeed + 1}).value();
    constexpr size_t kRows = 20;
    const auto n = static_cast<size_t>(c.dim);
    const std::vector<float> x = gaussian(kRows * n, kSeed);
    std::vector<float> y = x;
    rotation.apply(y);
    std::vector<float> back = y;
    rotation.apply_inverse(back);
    for (size_t row = 0; row < kRows; ++row) {
      double norm_x = 0.0, norm_y = 0.0, error = 0.0, moved = 0.0;
      for (size_t j = row * n; j < (row + 1) * n; ++j) {
        norm_x += static_cast<double>(x[j]) * x[j];
        norm_y += static_cast<double>(y[j]) * y[j];
        error += std::pow(static_cast<double>(back[j]) - x[j], 2);
        moved += std::pow(static_cast<double>(y[j]) - x[j], 2);
      }
      // A sum of d terms in float is off by at most d eps |row||x| per output, sqrt(d) of that in
      // the mean; d eps is the bound that never fails.
      CHECK(std::abs(std::sqrt(norm_y / norm_x) - 1.0) < c.dim * kEps);
      CHECK(std::sqrt(error / norm_x) < 2.0 * c.dim * kEps);
      if (c.dim > 3) CHECK(moved > 0.5 * norm_x);  // it is not the identity
    }
  }
}

TEST_CASE("the Hadamard rotation equals its definition", "[rotation]") {
  constexpr size_t kDim = 64;
  const Rotation rotation =
      Rotation::create(
          {.kind = RotationKind::kHadamard, .dim = static_cast<int>(kDim), .seed = kSeed})
          .value();
  const std::vector<float> x = gaussian(kDim, kSeed + 2);
  std::vector<double> y(x.begin(), x.end());
  for (int round = 0; round < Rotation::kHadamardRounds; ++round) {
    std::vector<double> next(kDim, 0.0);
    for (size_t i = 0; i < kDim; ++i) {
      for (size_t j = 0; j < kDim; ++j) {
        const double h = (__builtin_popcountll(i & j) & 1) != 0 ? -1.0 : 1.0;
        next[i] += h * static_cast<double>(rotation.signs(round)[j]) * y[j];
      }
    }
    y = next;
  }
  std::vector<float> got = x;
  rotation.apply(got);
  for (size_t i = 0; i < kDim; ++i) {
    CHECK(got[i] == Approx(y[i] / kDim).margin(12 * 2 * kEps * 8.0));  // 12 stages, |y| near 8
  }
}

TEST_CASE("the QR rotation multiplies by the matrix it shows", "[rotation]") {
  const Rotation rotation =
      Rotation::create({.kind = RotationKind::kAuto, .dim = 80, .seed = kSeed}).value();
  REQUIRE(rotation.kind() == RotationKind::kQr);
  const std::vector<float> x = gaussian(80, kSeed + 3);
  std::vector<float> got = x;
  rotation.apply(got);
  for (size_t i = 0; i < 80; ++i) {
    double sum = 0.0;
    for (size_t j = 0; j < 80; ++j)
      sum += static_cast<double>(rotation.matrix()[i * 80 + j]) * x[j];
    CHECK(got[i] == Approx(sum).margin(80 * kEps * 9.0));  // d eps |x|, |x| near 9
  }
}

TEST_CASE("the seed is honoured, and auto picks by dimension", "[rotation]") {
  for (const int dim : {64, 96}) {
    const auto make = [&](uint64_t seed) {
      return Rotation::create({.kind = RotationKind::kAuto, .dim = dim, .seed = seed}).value();
    };
    const std::vector<float> a = images_of_unit_vectors(make(1));
    CHECK(a == images_of_unit_vectors(make(1)));
    CHECK(a != images_of_unit_vectors(make(2)));
  }
  CHECK(Rotation::create({.dim = 128}).value().kind() == RotationKind::kHadamard);
  CHECK(Rotation::create({.dim = 96}).value().kind() == RotationKind::kQr);
}

TEST_CASE("rotations refuse dimensions they cannot turn", "[rotation]") {
  CHECK(Rotation::create({.dim = 1}).error().where == "dim");
  CHECK(Rotation::create({.dim = -1}).error().where == "dim");
  CHECK(Rotation::create({.dim = 4097}).error().where == "dim");
  CHECK(Rotation::create({.kind = RotationKind::kHadamard, .dim = 96}).error().where == "rotation");
}
