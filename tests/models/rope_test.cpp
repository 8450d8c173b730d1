// Rope: rotations keep norms, give relative positions, and both pairings are the same up to a
// permutation.

#include <catch2/catch.hpp>

#include <cmath>
#include <cstdint>
#include <vector>

#include "models/rope.h"

namespace tq::models {
namespace {

ModelSpec spec_of(int head_dim, int rope_dim) {
  ModelSpec spec;
  spec.head_dim = head_dim;
  spec.rope_dim = rope_dim;
  spec.rope_theta = 10000.0;
  return spec;
}

std::vector<float> ramp(int n) {
  std::vector<float> values(static_cast<size_t>(n));
  for (int i = 0; i < n; ++i)
    values[static_cast<size_t>(i)] = std::sin(0.7f * static_cast<float>(i) + 1);
  return values;
}

std::vector<float> rotated(const Rope& rope, std::vector<float> row, int32_t position) {
  std::vector<float> cosines, sines;
  rope.angles(std::vector<int32_t>{position}, cosines, sines);
  rope.rotate(row, 1, cosines, sines);
  return row;
}

double dot(const std::vector<float>& a, const std::vector<float>& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += double{a[i]} * double{b[i]};
  return sum;
}

}  // namespace

TEST_CASE("scores depend on the distance of positions only") {
  for (const bool interleaved : {false, true}) {
    const Rope rope(spec_of(64, 64), interleaved);
    const auto q = ramp(64);
    auto k = ramp(64);
    for (size_t i = 0; i < k.size(); ++i) k[i] = k[i] * 0.5f + 0.1f * static_cast<float>(i % 3);
    const double near = dot(rotated(rope, q, 15), rotated(rope, k, 5));
    const double far = dot(rotated(rope, q, 1015), rotated(rope, k, 1005));
    // An angle of up to 1015 radians carries an fp32 error of 1015 * 2^-24; 64 terms of magnitude
    // <= 1.
    CHECK(std::fabs(near - far) < 64 * 2 * 1015 * 0x1p-24);
    CHECK(dot(rotated(rope, q, 77), rotated(rope, q, 77)) == Approx(dot(q, q)).epsilon(1e-6));
    CHECK(rotated(rope, q, 0) == q);
  }
}

TEST_CASE("interleaved pairs are halves, permuted") {
  const int dim = 8;
  const Rope halves(spec_of(dim, dim), false), pairs(spec_of(dim, dim), true);
  const auto row = ramp(dim);
  std::vector<float> permuted(row.size());
  for (size_t i = 0; i < 4; ++i) {
    permuted[2 * i] = row[i];
    permuted[2 * i + 1] = row[i + 4];
  }
  const auto a = rotated(halves, row, 9), b = rotated(pairs, permuted, 9);
  for (size_t i = 0; i < 4; ++i) {
    CHECK(b[2 * i] == a[i]);
    CHECK(b[2 * i + 1] == a[i + 4]);
  }
}

TEST_CASE("dimensions past rope_dim stay") {
  const Rope rope(spec_of(64, 32), false);
  const auto row = ramp(64), turned = rotated(rope, row, 12);
  for (size_t i = 32; i < 64; ++i) CHECK(turned[i] == row[i]);
  CHECK(turned[0] != row[0]);
}

}  // namespace tq::models
