#pragma once
// Folds the partial states of attend.cuh, in the order of their parts, and un-rotates the outputs.
// One block per QueryBlock, a warp per query. Reads each state once.

#include "kernels/cuda/attend.cuh"
#include "kernels/cuda/rotation.cuh"

namespace tq::kernels::cuda {

inline constexpr int kCombineThreads = 32 * kAttendQueries;

template <int kDim>
__global__ void __launch_bounds__(kCombineThreads) combine(const AttendParams p) {
  constexpr size_t kStride = attend_state_floats(kDim);
  const QueryBlock block = p.blocks[blockIdx.x];
  const int lane = static_cast<int>(threadIdx.x) % 32, column = static_cast<int>(threadIdx.x) / 32;
  if (column >= block.n_queries) return;
  const float* const states = p.states + static_cast<size_t>(block.first_state) * kStride;
  const float* const sums = states + column * kDim + lane;
  const float* const m = states + kAttendQueries * kDim + column;
  const float* const l = m + kAttendQueries;
  float largest = m[0];
  for (int part = 1; part < block.n_parts; ++part) largest = fmaxf(largest, m[part * kStride]);
  WarpRow<kDim> row{};
  float total = 0.0f;
  for (int part = 0; part < block.n_parts; ++part) {
    const float weight = exp2_fast(m[part * kStride] - largest);
    total = fmaf(weight, l[part * kStride], total);
#pragma unroll
    for (int i = 0; i < row.kPerLane; ++i) {
      row.x[i] = fmaf(weight, sums[part * kStride + 32 * i], row.x[i]);
    }
  }
  const float share = total > 0.0f ? 1.0f / total : 0.0f;
#pragma unroll
  for (float& x : row.x) x *= share;
  rotate(row, p.rotation, true, lane);
  float* const out = p.out + query_row(p, block, column) * kDim + lane;
#pragma unroll
  for (int i = 0; i < row.kPerLane; ++i) out[32 * i] = row.x[i];
}

}  // namespace tq::kernels::cuda
