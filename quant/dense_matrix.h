#pragma once
// Dense square matrices of this folder: the QR rotation and the QJL projection. Row-major [n, n]
// floats in vectors that their owners keep. Pure; any thread.

#include <span>
#include <vector>

namespace tq::quant {

inline constexpr int kDenseDimMax = 4096;

// out_j = sum over i of matrix[i][j] in_i, n = in.size() <= kDenseDimMax; `out` may be `in`. Every
// output adds its terms in the order of i, with no horizontal sum, so the bits do not depend on the
// width of the machine's vectors.
void multiply_transposed(std::span<const float> matrix,
                         std::span<const float> in,
                         std::span<float> out) noexcept;

std::vector<float> transposed(std::span<const float> matrix, int n);

}  // namespace tq::quant
