#pragma once
// The end of attend.cuh: the sums of a block's warps become one state, through shared memory.

#include "kernels/cuda/attend_place.cuh"
#include "kernels/cuda/attend_queries.cuh"
#include "kernels/cuda/attend_softmax.cuh"

namespace tq::kernels::cuda {

inline constexpr int kAttendThreads = 32 * kAttendWarps;
static_assert(kColumns == kAttendQueries);

// Floats from query to query of a warp's sums in shared memory: writes hit all banks.
template <int kDim>
inline constexpr int kSharedStride = kDim + 4;
template <int kDim>
inline constexpr size_t kAttendSharedBytes = kAttendWarps* kColumns*(kSharedStride<kDim> + 2) *
                                             sizeof(float);

// Writes the sums of all warps as one state.
template <int kDim, int kQueries>
__device__ __forceinline__ void merge_warps(Sums<kDim>& sums, float* state) {
  constexpr int kStride = kSharedStride<kDim>;
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  const int g = lane / 4, t = lane % 4;
  float* const o = reinterpret_cast<float*>(shared_memory());  // [warps][kColumns][kStride]
  float* const m = o + kAttendWarps * kColumns * kStride;      // [warps][kColumns]
  float* const l = m + kAttendWarps * kColumns;
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    const int column = warp * kColumns + 2 * t + i;
#pragma unroll
    for (int lanes = 4; lanes < 32; lanes *= 2) {
      sums.l[i] += __shfl_xor_sync(~0u, sums.l[i], lanes);
    }
    if (g == 0) {
      m[column] = sums.m[i];
      l[column] = sums.l[i];
    }
    const float excess = -kSumStart * sums.start[i];
#pragma unroll
    for (int j = 0; j < kSteps<kDim>; ++j) {
      if (!reaches<kDim>(j, 4 * g)) continue;
      const float4 dims{sums.o[2 * j][i] + excess, sums.o[2 * j][2 + i] + excess,
                        sums.o[2 * j + 1][i] + excess, sums.o[2 * j + 1][2 + i] + excess};
      *reinterpret_cast<float4*>(o + column * kStride + 32 * j + 4 * g) = dims;
    }
  }
  __syncthreads();
  for (int i = static_cast<int>(threadIdx.x); i < kQueries * kDim; i += kAttendThreads) {
    const int column = i / kDim, dim = i % kDim;
    float largest = m[column];
    for (int w = 1; w < kAttendWarps; ++w) largest = fmaxf(largest, m[w * kColumns + column]);
    float sum = 0.0f, total = 0.0f;
    for (int w = 0; w < kAttendWarps; ++w) {
      const int at = w * kColumns + column;
      const float weight = exp2_fast(m[at] - largest);
      sum = fmaf(weight, o[at * kStride + dim], sum);
      total = fmaf(weight, l[at], total);
    }
    state[i] = sum;
    if (dim == 0) {
      state[kColumns * kDim + column] = largest;
      state[kColumns * (kDim + 1) + column] = total;
    }
  }
}

}  // namespace tq::kernels::cuda
