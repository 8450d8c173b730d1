#pragma once
// quant::Rotation on a warp: lane l holds coordinates l, l + 32, ... of a row, as far as there are
// some: of 80, lanes 16 to 31 hold two. Additions come in
// quant's order, so the bits are the same where the file that includes this does not contract.

#include "kernels/cuda/launch.h"

namespace tq::kernels::cuda {

template <int kDim>
struct WarpRow {
  static constexpr int kPerLane = (kDim + 31) / 32;
  float x[kPerLane];

  // Whether x[i] of this lane is a coordinate.
  __device__ static constexpr bool has(int i, int lane) {
    return kDim % 32 == 0 || 32 * i + lane < kDim;
  }
};

// Without its 1/sqrt(dim); distances 1, 2, 4, ...
template <int kDim>
__device__ inline void walsh_hadamard(WarpRow<kDim>& row, int lane) {
#pragma unroll
  for (int half = 1; half < 32; half *= 2) {
#pragma unroll
    for (float& x : row.x) {
      const float other = __shfl_xor_sync(0xffffffffu, x, half);
      x = (lane & half) == 0 ? x + other : other - x;
    }
  }
#pragma unroll
  for (int half = 1; half < row.kPerLane; half *= 2) {
#pragma unroll
    for (int i = 0; i < row.kPerLane; ++i) {
      if ((i & half) != 0) continue;
      const float a = row.x[i];
      const float b = row.x[i + half];
      row.x[i] = a + b;
      row.x[i + half] = a - b;
    }
  }
}

template <int kDim>
__device__ inline void multiply_signs(WarpRow<kDim>& row, const float* signs, int lane) {
#pragma unroll
  for (int i = 0; i < row.kPerLane; ++i) row.x[i] *= signs[32 * i + lane];
}

// y_j = sum over i, ascending, of x_i matrix[i][j].
template <int kDim>
__device__ inline void multiply_matrix(WarpRow<kDim>& row, const float* matrix, int lane) {
  WarpRow<kDim> sum{};
  for (int l = 0; l < kDim; ++l) {
    float factor = row.x[0];
#pragma unroll
    for (int i = 1; i < row.kPerLane; ++i) factor = l / 32 == i ? row.x[i] : factor;
    factor = __shfl_sync(0xffffffffu, factor, l % 32);
#pragma unroll
    for (int i = 0; i < row.kPerLane; ++i) {
      if (row.has(i, lane)) sum.x[i] += matrix[l * kDim + 32 * i + lane] * factor;
    }
  }
  row = sum;
}

// All 32 lanes take part.
template <int kDim>
__device__ inline void rotate(WarpRow<kDim>& row,
                              const RotationView& rotation,
                              bool inverse,
                              int lane) {
  if (rotation.forward != nullptr) {
    multiply_matrix(row, inverse ? rotation.inverse : rotation.forward, lane);
    return;
  }
  if constexpr ((kDim & (kDim - 1)) == 0) {
    if (rotation.signs == nullptr) return;
    for (int round = 0; round < 2; ++round) {
      if (!inverse) multiply_signs(row, rotation.signs + round * kDim, lane);
      walsh_hadamard(row, lane);
      if (inverse) multiply_signs(row, rotation.signs + (1 - round) * kDim, lane);
    }
#pragma unroll
    for (float& x : row.x) x *= 1.0f / kDim;  // a power of two: exact
  }
}

}  // namespace tq::kernels::cuda
