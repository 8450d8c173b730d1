#include "quant/dense_matrix.h"

#include <algorithm>

#include "config/check.h"

namespace tq::quant {

void multiply_transposed(std::span<const float> matrix,
                         std::span<const float> in,
                         std::span<float> out) noexcept {
  const size_t n = in.size();
  TQ_CHECK(n <= kDenseDimMax && out.size() == n && matrix.size() == n * n, "wrong size", n);
  float sum[kDenseDimMax];
  std::fill_n(sum, n, 0.0f);
  for (size_t i = 0; i < n; ++i) {
    const float* const line = matrix.data() + i * n;
    const float factor = in[i];
    for (size_t j = 0; j < n; ++j) sum[j] += line[j] * factor;
  }
  std::copy_n(sum, n, out.begin());
}

std::vector<float> transposed(std::span<const float> matrix, int n) {
  const auto size = static_cast<size_t>(n);
  std::vector<float> result(matrix.size());
  for (size_t i = 0; i < size; ++i) {
    for (size_t j = 0; j < size; ++j) result[j * size + i] = matrix[i * size + j];
  }
  return result;
}

}  // namespace tq::quant
