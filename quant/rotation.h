#pragma once
// Rotation: a seeded random orthogonal transform of R^dim. Same (kind, dim, seed): same transform,
// on every machine. Immutable; any thread. Nothing is global.
//
// Hadamard: y = H D2 H D1 x / dim, D random signs, H Walsh-Hadamard by butterflies (two rounds, so
// that a single spike spreads to Gaussian-like coordinates). QR: Q of a Gaussian matrix with the
// signs of R's diagonal made positive (Haar measure), the paper's Pi.

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "config/kv_config.h"
#include "config/result.h"

namespace tq::quant {

struct RotationOptions {
  RotationKind kind = RotationKind::kAuto;
  int dim = 0;
  uint64_t seed = 0;
};

class Rotation {
 public:
  // Errors: dim < 2 or > 4096; kHadamard with a dim that is no power of two.
  static Result<Rotation> create(const RotationOptions& options);

  RotationKind kind() const noexcept { return kind_; }  // never kAuto
  int dim() const noexcept { return dim_; }

  // In place, on rows of `dim` floats lying one after the other: y = Pi x, and x = Pi^T y.
  void apply(std::span<float> rows) const noexcept;
  void apply_inverse(std::span<float> rows) const noexcept;

  // For backends that run the transform themselves. Hadamard: signs (+1/-1) of each round. QR: the
  // matrix, [dim, dim], row-major; y_i = sum_j matrix[i][j] x_j.
  std::span<const float> signs(int round) const noexcept;
  std::span<const float> matrix() const noexcept { return matrix_; }
  static constexpr int kHadamardRounds = 2;

 private:
  Rotation() = default;
  RotationKind kind_ = RotationKind::kHadamard;
  int dim_ = 0;
  std::vector<float> signs_;       // [kHadamardRounds, dim]
  std::vector<float> matrix_;      // [dim, dim]
  std::vector<float> transposed_;  // [dim, dim]; both, so that either direction runs along rows
};

// In place, one row whose size is a power of two: the Walsh-Hadamard transform without its
// 1/sqrt(size).
void walsh_hadamard(std::span<float> row) noexcept;

}  // namespace tq::quant
