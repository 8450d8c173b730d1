#pragma once
// The online softmax of 8 columns in one warp, between attend_keys.cuh and attend_values.cuh.

#include "kernels/cuda/attend_place.cuh"

namespace tq::kernels::cuda {

// Scores, then weights: [m][2r + j] is of token 4g + 2m + r and column 2t + j.
using Scores = float[2][4];

// Running softmax of 8 columns, in powers of two: weights are 2^(score - m). This lane's share.
template <int kDim>
struct Sums {
  float o[2 * kSteps<kDim>][4] =
      {};  // [2j + h][2r + i]: dimension 32j + 4g + 2h + r, column 2t + i
  float m[2] = {kNone, kNone};
  float l[2] = {};      // of the lane's own tokens
  float start[2] = {};  // o is too large by kSumStart times this

  static constexpr float kNone = -3e38f;  // no key seen: below every score

  __device__ __forceinline__ void rescale(const float (&largest)[2]) {
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      const float factor = exp2_fast(m[i] - largest[i]);
      m[i] = largest[i];
      l[i] *= factor;
      start[i] *= factor;
#pragma unroll
      for (int part = 0; part < 2 * kSteps<kDim>; ++part) {
        o[part][i] *= factor;
        o[part][2 + i] *= factor;
      }
    }
  }
};

// The largest of both columns' numbers, over all lanes that hold some of them.
__device__ __forceinline__ void reduce_max(float (&x)[2]) {
#pragma unroll
  for (int i = 0; i < 2; ++i) {
#pragma unroll
    for (int lanes = 4; lanes < 32; lanes *= 2) {
      x[i] = fmaxf(x[i], __shfl_xor_sync(~0u, x[i], lanes));
    }
  }
}

// Turns scores into weights. Sums are rescaled only when a score exceeds m by more than 8: weights
// stay below 2^8.
template <int kDim>
__device__ __forceinline__ void weigh(Scores& scores, Sums<kDim>& sums) {
  float largest[2];
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    largest[i] =
        fmaxf(fmaxf(scores[0][i], scores[0][2 + i]), fmaxf(scores[1][i], scores[1][2 + i]));
  }
  if (__any_sync(~0u, largest[0] > sums.m[0] + 8.0f || largest[1] > sums.m[1] + 8.0f)) {
    reduce_max(largest);
#pragma unroll
    for (int i = 0; i < 2; ++i) largest[i] = fmaxf(largest[i], sums.m[i]);
    sums.rescale(largest);
  }
#pragma unroll
  for (int m = 0; m < 2; ++m) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      scores[m][i] = exp2_fast(scores[m][i] - sums.m[i % 2]);
      sums.l[i % 2] += scores[m][i];
    }
  }
}

}  // namespace tq::kernels::cuda
