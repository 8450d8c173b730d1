#pragma once
// What a key bias has to do with the scores of a tile (kernels/key_bias.h), for attend.cuh: of its
// token t, <R_-f q, R_t b>, f the position of the tile. In floats, which is what a bias of hundreds
// needs: the warp turns its queries into shared memory, then a lane is a token.

#include "kernels/cuda/attend_merge.cuh"

namespace tq::kernels::cuda {

// A number of each query.
struct alignas(16) PerColumn {
  float x[kColumns];
};

// A row of q and out, as [n_tokens * n_heads, head_dim], of one of a block's queries.
__device__ __forceinline__ size_t query_row(const AttendParams& p,
                                            const QueryBlock& block,
                                            int column) {
  const int group = p.n_heads / p.store.n_kv_heads;
  const int query = block.query + column;
  const int token = p.step.token_indptr[block.seq] + query / group;
  return static_cast<size_t>(token) * static_cast<size_t>(p.n_heads) +
         static_cast<size_t>(block.kv_head * group + query % group);
}

// The block's queries lie behind what merge_warps() uses, as [kDim] coordinates.
template <int kDim>
inline constexpr size_t kBiasSharedBytes = kAttendSharedBytes<kDim> + kDim * sizeof(PerColumn);
template <int kDim>
__device__ __forceinline__ PerColumn* plain_queries() {
  return reinterpret_cast<PerColumn*>(shared_memory() + kAttendSharedBytes<kDim>);
}

// Before the first add_bias(). All threads of the block take part.
template <int kDim>
__device__ __forceinline__ void load_plain_queries(const AttendParams& p,
                                                   const QueryBlock& queries) {
  for (int i = static_cast<int>(threadIdx.x); i < kColumns * kDim; i += kAttendThreads) {
    const int column = i / kDim, dim = i % kDim;
    plain_queries<kDim>()[dim].x[column] =
        column < queries.n_queries ? p.plain_q[query_row(p, queries, column) * kDim + dim] : 0.0f;
  }
  __syncthreads();
}

// Adds to the scores of the tile whose first token is at `position`. The warp works in the part of
// shared memory that is its own in merge_warps().
template <int kDim>
__device__ __forceinline__ void add_bias(
    const AttendParams& p, int kv_head, int position, int lane, Scores& scores) {
  static_assert(kTile <= kDim);
  const KeyBiasView& bias = p.bias;
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const PerColumn* const plain = plain_queries<kDim>();
  auto* const turned = reinterpret_cast<PerColumn*>(shared_memory()) + warp * kSharedStride<kDim>;
  const float* const cosines =
      bias.turns + static_cast<size_t>(position / kTile) * static_cast<size_t>(2 * bias.n_pairs);
  for (int i = lane; i < bias.n_pairs; i += 32) {
    const int first = bias.interleaved ? 2 * i : i;
    const int second = first + (bias.interleaved ? 1 : bias.n_pairs);
    const float c = cosines[i], s = cosines[bias.n_pairs + i];
    const PerColumn a = plain[first], b = plain[second];
    PerColumn to_first, to_second;
#pragma unroll
    for (int n = 0; n < kColumns; ++n) {
      to_first.x[n] = a.x[n] * c + b.x[n] * s;
      to_second.x[n] = b.x[n] * c - a.x[n] * s;
    }
    turned[first] = to_first;
    turned[second] = to_second;
  }
  for (int j = 2 * bias.n_pairs + lane; j < kDim; j += 32) turned[j] = plain[j];
  __syncwarp();
  const float* const of_token = bias.tiles + static_cast<size_t>(kv_head) * kDim * kTile + lane;
  PerColumn sum{};
#pragma unroll 8
  for (int j = 0; j < kDim; ++j) {
    const float b = of_token[j * kTile];
    const PerColumn q = turned[j];
#pragma unroll
    for (int n = 0; n < kColumns; ++n) sum.x[n] = fmaf(q.x[n], b, sum.x[n]);
  }
  __syncwarp();
  turned[lane] = sum;
  __syncwarp();
#pragma unroll
  for (int m = 0; m < 2; ++m) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const float share = turned[4 * (lane / 4) + 2 * m + i / 2].x[2 * (lane % 4) + i % 2];
      scores[m][i] = fmaf(share, p.scale_log2, scores[m][i]);
    }
  }
  __syncwarp();
}

}  // namespace tq::kernels::cuda
