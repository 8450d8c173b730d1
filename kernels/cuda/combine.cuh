#pragma once
// Folds the partial states of attend.cuh, in the order of their parts, and un-rotates the outputs.
// One block per QueryBlock, a warp per query. Reads each state once.

#include "kernels/cuda/attend.cuh"
#include "kernels/cuda/rotation.cuh"

namespace tq::kernels::cuda {

inline constexpr int kCombineThreads = 32 * kAttendQueries;

__device__ __forceinline__ void store_element(void* out, size_t at, ElementType type, float x) {
  if (type == ElementType::kF32) {
    static_cast<float*>(out)[at] = x;
  } else {
    const uint32_t bits = type == ElementType::kF16 ? pack_fp16(x, 0.0f) : pack_bf16(x, 0.0f);
    static_cast<uint16_t*>(out)[at] = static_cast<uint16_t>(bits);
  }
}

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
      if (row.has(i, lane)) row.x[i] = fmaf(weight, sums[part * kStride + 32 * i], row.x[i]);
    }
  }
  const float share = total > 0.0f ? 1.0f / total : 0.0f;
#pragma unroll
  for (float& x : row.x) x *= share;
  rotate(row, p.rotation, true, lane);
  const size_t at = query_row(p, block, column) * kDim + lane;
#pragma unroll
  for (int i = 0; i < row.kPerLane; ++i) {
    if (row.has(i, lane)) store_element(p.out, at + 32 * i, p.out_type, row.x[i]);
  }
}

}  // namespace tq::kernels::cuda
