#pragma once
// Codebook: the Lloyd-Max quantiser of one coordinate of a random point on the unit sphere of
// R^dim, whose density is f(t) = Gamma(d/2) / (sqrt(pi) Gamma((d-1)/2)) (1 - t^2)^((d-3)/2) on [-1,
// 1] (TurboQuant, arXiv 2504.19874, Lemma 1). Computed when asked for, in double, in milliseconds:
// no table. Plain value; any thread.

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "config/result.h"

namespace tq::quant {

inline constexpr int kBitsMax = 8;
inline constexpr int kCodebookDimMax =
    1 << 24;  // beyond, the density is N(0, 1/d) to double precision

struct Codebook {
  int dim = 0;
  int bits = 0;
  std::vector<double> centroids;   // 2^bits, ascending, antisymmetric
  std::vector<double> boundaries;  // 2^bits - 1 midpoints of neighbours, ascending, antisymmetric
  // Expected |x - x~|^2 of a unit vector x whose dim coordinates are coded on their own: dim times
  // the distortion of one coordinate. The D_mse of the paper's Theorem 1.
  double mse = 0.0;
};

// Errors: dim < 2 or > kCodebookDimMax; bits outside 1..8.
Result<Codebook> make_codebook(int dim, int bits);

// The same expectation for any levels that take the place of the centroids, cell by cell: what
// rounding the centroids costs. levels.size() == codebook.centroids.size().
double mse_with_levels(const Codebook& codebook, std::span<const double> levels);

// How many of the 2^bits - 1 ascending boundaries lie below t: the code of t. One on a boundary
// takes the lower. `bits` steps without a branch to mispredict.
inline uint8_t nearest_code(std::span<const float> boundaries, float t) noexcept {
  size_t code = 0;
  for (size_t step = (boundaries.size() + 1) / 2; step > 0; step /= 2) {
    code += t > boundaries[code + step - 1] ? step : 0;
  }
  return static_cast<uint8_t>(code);
}

// Theorem 1 of the paper: an upper bound of mse for every dim.
double theorem1_bound(int bits) noexcept;

}  // namespace tq::quant
