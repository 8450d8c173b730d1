#include "quant/rotation.h"

#include <bit>
#include <cmath>
#include <string>

#include "config/check.h"
#include "quant/dense_matrix.h"
#include "quant/random.h"

namespace tq::quant {
namespace {

bool is_power_of_two(int dim) noexcept { return std::has_single_bit(static_cast<unsigned>(dim)); }

double dot(std::span<const double> a, std::span<const double> b) noexcept {
  double sum = 0.0;
  for (size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

// Orthonormalises the rows of a Gaussian matrix one after the other. This is QR of its transpose
// with a positive diagonal of R, so the rows are Haar distributed. Each row is projected twice:
// once leaves errors of eps times the condition number, twice leaves eps (Kahan, Parlett: "twice is
// enough").
std::vector<float> haar_matrix(int dim, uint64_t seed) {
  Rng rng(seed, RngStream::kQrMatrix);
  const auto n = static_cast<size_t>(dim);
  std::vector<double> rows(n * n);
  for (double& value : rows) value = rng.gaussian();
  for (size_t i = 0; i < n; ++i) {
    const std::span<double> row(rows.data() + i * n, n);
    for (int pass = 0; pass < 2; ++pass) {
      for (size_t k = 0; k < i; ++k) {
        const std::span<const double> done(rows.data() + k * n, n);
        const double along = dot(row, done);
        for (size_t j = 0; j < n; ++j) row[j] -= along * done[j];
      }
    }
    const double inverse = 1.0 / std::sqrt(dot(row, row));
    for (double& value : row) value *= inverse;
  }
  return {rows.begin(), rows.end()};
}

void multiply_signs(std::span<const float> signs, std::span<float> row) noexcept {
  for (size_t i = 0; i < row.size(); ++i) row[i] *= signs[i];
}

}  // namespace

void walsh_hadamard(std::span<float> row) noexcept {
  float* const data = row.data();
  for (size_t half = 1; half < row.size(); half *= 2) {
    for (size_t start = 0; start < row.size(); start += 2 * half) {
      for (size_t i = start; i < start + half; ++i) {
        const float a = data[i];
        const float b = data[i + half];
        data[i] = a + b;
        data[i + half] = a - b;
      }
    }
  }
}

Result<Rotation> Rotation::create(const RotationOptions& options) {
  if (options.dim < 2 || options.dim > kDenseDimMax) {
    return Error{Code::kInvalidArgument,
                 "a rotation needs a dimension of 2 to " + std::to_string(kDenseDimMax) + ", not " +
                     std::to_string(options.dim),
                 "dim"};
  }
  Rotation rotation;
  rotation.dim_ = options.dim;
  rotation.kind_ = options.kind;
  if (rotation.kind_ == RotationKind::kAuto) {
    rotation.kind_ = is_power_of_two(options.dim) ? RotationKind::kHadamard : RotationKind::kQr;
  }
  if (rotation.kind_ == RotationKind::kQr) {
    rotation.matrix_ = haar_matrix(options.dim, options.seed);
    rotation.transposed_ = transposed(rotation.matrix_, options.dim);
    return rotation;
  }
  if (!is_power_of_two(options.dim)) {
    return Error{Code::kInvalidArgument,
                 "the Hadamard rotation needs a power of two, not " + std::to_string(options.dim) +
                     "; use the rotation 'qr' or 'auto'",
                 "rotation"};
  }
  Rng rng(options.seed, RngStream::kHadamardSigns);
  rotation.signs_.resize(static_cast<size_t>(kHadamardRounds) * static_cast<size_t>(options.dim));
  for (float& sign : rotation.signs_) sign = rng.sign();
  return rotation;
}

void Rotation::apply(std::span<float> rows) const noexcept {
  const auto n = static_cast<size_t>(dim_);
  TQ_CHECK(rows.size() % n == 0, "rows of another dimension", rows.size(), n);
  for (size_t start = 0; start < rows.size(); start += n) {
    const std::span<float> row = rows.subspan(start, n);
    if (kind_ == RotationKind::kQr) {
      multiply_transposed(transposed_, row, row);
      continue;
    }
    for (int round = 0; round < kHadamardRounds; ++round) {
      multiply_signs(signs(round), row);
      walsh_hadamard(row);
    }
    // 1/dim is a power of two: exact.
    for (float& value : row) value *= 1.0f / static_cast<float>(dim_);
  }
}

void Rotation::apply_inverse(std::span<float> rows) const noexcept {
  const auto n = static_cast<size_t>(dim_);
  TQ_CHECK(rows.size() % n == 0, "rows of another dimension", rows.size(), n);
  for (size_t start = 0; start < rows.size(); start += n) {
    const std::span<float> row = rows.subspan(start, n);
    if (kind_ == RotationKind::kQr) {
      multiply_transposed(matrix_, row, row);
      continue;
    }
    for (int round = kHadamardRounds; round-- > 0;) {
      walsh_hadamard(row);
      multiply_signs(signs(round), row);
    }
    for (float& value : row) value *= 1.0f / static_cast<float>(dim_);
  }
}

std::span<const float> Rotation::signs(int round) const noexcept {
  TQ_CHECK(kind_ == RotationKind::kHadamard, "only the Hadamard rotation has signs");
  TQ_CHECK(round >= 0 && round < kHadamardRounds, "no such round", round);
  return std::span(signs_).subspan(static_cast<size_t>(round) * static_cast<size_t>(dim_),
                                   static_cast<size_t>(dim_));
}

}  // namespace tq::quant
