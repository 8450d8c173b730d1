#pragma once
// What a warp of attend_rows.cuh does with a decoded tile for its 16 queries: scores, weights,
// sums.

#include "kernels/cuda/attend_bias.cuh"
#include "kernels/cuda/decode_tile.cuh"

namespace tq::kernels::cuda {

// A warp's 16 queries: lane 4g + t has rows g and g + 8. In powers of two, as Sums.
template <int kDim>
struct RowSums {
  static constexpr float kNone = Sums<kDim>::kNone;
  float o[kDim / 8][4] = {};  // [n][2r + i]: dimension 8n + 2t + i of row g + 8r
  float m[2] = {kNone, kNone};
  float l[2] = {};  // of the lane's own tokens
};

// Rows as A operands of the products with keys, scaled. Rows from n_rows on are zero.
template <int kDim>
struct RowQueries {
  uint32_t a[kDim / 16][4];

  __device__ __forceinline__ void load(const AttendParams& p,
                                       const QueryBlock& queries,
                                       int first_row,
                                       int lane) {
    const int g = lane / 4, t = lane % 4;
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      const int row = first_row + g + 8 * r;
      const bool exists = row < queries.n_queries;
      const float* const q =
          p.q + (exists ? query_row(p, queries, row) : 0) * static_cast<size_t>(kDim) + 2 * t;
#pragma unroll
      for (int i = 0; i < kDim / 8; ++i) {
        const float2 x = exists ? *reinterpret_cast<const float2*>(q + 8 * i) : float2{0.0f, 0.0f};
        a[i / 2][i % 2 * 2 + r] = pack_bf16(x.x * p.scale_log2, x.y * p.scale_log2);
      }
    }
  }
};

// Scores [n][2r + i]: of token 8n + 2t + i and row g + 8r.
using RowScores = float[kTile / 8][4];

template <int kDim>
__device__ __forceinline__ void score_rows(const DecodedTile<kDim>& tile,
                                           const RowQueries<kDim>& q,
                                           int lane,
                                           RowScores& scores) {
  constexpr int kStride = DecodedTile<kDim>::kKeyStride;
  const uint32_t* const at = tile.keys + lane % 4 * kStride + lane / 4;
#pragma unroll
  for (int n = 0; n < kTile / 8; ++n) {
#pragma unroll
    for (int i = 0; i < 4; ++i) scores[n][i] = 0.0f;
#pragma unroll
    for (int step = 0; step < kDim / 16; ++step) {
      mma_bf16(scores[n], q.a[step], at[8 * step * kStride + 8 * n],
               at[(8 * step + 4) * kStride + 8 * n]);
    }
  }
}

// As weigh() of attend_softmax.cuh; a row is spread over four lanes.
template <int kDim>
__device__ __forceinline__ void weigh_rows(RowScores& scores, RowSums<kDim>& sums) {
  float largest[2] = {-INFINITY, -INFINITY};
#pragma unroll
  for (int n = 0; n < kTile / 8; ++n) {
#pragma unroll
    for (int i = 0; i < 4; ++i) largest[i / 2] = fmaxf(largest[i / 2], scores[n][i]);
  }
  if (__any_sync(~0u, largest[0] > sums.m[0] + 8.0f || largest[1] > sums.m[1] + 8.0f)) {
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      largest[r] = fmaxf(largest[r], __shfl_xor_sync(~0u, largest[r], 1));
      largest[r] = fmaxf(largest[r], __shfl_xor_sync(~0u, largest[r], 2));
      largest[r] = fmaxf(largest[r], sums.m[r]);
      const float factor = exp2_fast(sums.m[r] - largest[r]);
      sums.m[r] = largest[r];
      sums.l[r] *= factor;
#pragma unroll
      for (int n = 0; n < kDim / 8; ++n) {
        sums.o[n][2 * r] *= factor;
        sums.o[n][2 * r + 1] *= factor;
      }
    }
  }
#pragma unroll
  for (int n = 0; n < kTile / 8; ++n) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      scores[n][i] = exp2_fast(scores[n][i] - sums.m[i / 2]);
      sums.l[i / 2] += scores[n][i];
    }
  }
}

// o += weights . values: what scores were is the A operand, once packed.
template <int kDim>
__device__ __forceinline__ void sum_rows(const DecodedTile<kDim>& tile,
                                         const RowScores& weights,
                                         int lane,
                                         RowSums<kDim>& sums) {
  constexpr int kStride = DecodedTile<kDim>::kValueStride;
  constexpr int kGroupParts = kValueGroup / 8;
  const int g = lane / 4, t = lane % 4;
#pragma unroll
  for (int step = 0; step < kTile / 16; ++step) {
    const uint32_t* const at = tile.values + (8 * step + t) * kStride + g;
#pragma unroll
    for (int group = 0; group < DecodedTile<kDim>::kGroups; ++group) {
      uint32_t a[4];
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const int n = 2 * step + half;
        const auto scale =
            *reinterpret_cast<const float2*>(&tile.value_scales[group][8 * n + 2 * t]);
#pragma unroll
        for (int r = 0; r < 2; ++r) {
          a[2 * half + r] = pack_bf16(weights[n][2 * r] * scale.x, weights[n][2 * r + 1] * scale.y);
        }
      }
#pragma unroll
      for (int n = group * kGroupParts; n < min((group + 1) * kGroupParts, kDim / 8); ++n) {
        mma_bf16(sums.o[n], a, at[8 * n], at[4 * kStride + 8 * n]);
      }
    }
  }
}

}  // namespace tq::kernels::cuda
