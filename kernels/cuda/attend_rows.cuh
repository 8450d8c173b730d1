#pragma once
// Attention of up to 64 queries over a part of a sequence's tiles, for a prefill: a block decodes
// each tile once into shared memory (decode_tile.cuh), and every warp takes it for 16 queries, as
// FlashAttention-2 does (arXiv 2307.08691). Queries, decoded keys and weights are bf16, sums fp32.
// Writes what attend.cuh writes: a state per 8 queries.

#include "kernels/cuda/attend_rows_steps.cuh"
#include "kernels/cuda/decode_place.cuh"

namespace tq::kernels::cuda {

static_assert(kAttendRowQueries == 16 * kRowWarps);

template <int kDim>
__device__ __forceinline__ void store_rows(
    const AttendParams& p, const AttendItem& item, int first_row, int lane, RowSums<kDim>& sums) {
  const int g = lane / 4, t = lane % 4;
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    sums.l[r] += __shfl_xor_sync(~0u, sums.l[r], 1);
    sums.l[r] += __shfl_xor_sync(~0u, sums.l[r], 2);
    const int row = first_row + g + 8 * r;
    if (row >= item.block.n_queries) continue;
    const auto index = static_cast<size_t>(item.state + row / kAttendQueries * item.block.n_parts);
    float* const state = p.states + index * attend_state_floats(kDim);
    const int column = row % kAttendQueries;
#pragma unroll
    for (int n = 0; n < kDim / 8; ++n) {
      *reinterpret_cast<float2*>(state + column * kDim + 8 * n + 2 * t) =
          float2{sums.o[n][2 * r], sums.o[n][2 * r + 1]};
    }
    if (t == 0) {
      state[kAttendQueries * kDim + column] = sums.m[r];
      state[kAttendQueries * (kDim + 1) + column] = sums.l[r];
    }
  }
}

// One block per row item. Shared memory: a DecodedTile.
template <int kDim>
__global__ void __launch_bounds__(kRowThreads, kDim > 128 ? 2 : 3)
    attend_rows(const AttendParams p) {
  const AttendItem item = p.row_items[blockIdx.x];
  const QueryBlock& queries = item.block;
  const StoreView& store = p.store;
  const StepView& step = p.step;
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  const int group = p.n_heads / store.n_kv_heads;
  const int seq = queries.seq;
  const int first_row = 16 * warp;
  const bool idle = first_row >= queries.n_queries;
  const int first_position = step.first_position[seq];
  const int n_written = first_position + step.token_indptr[seq + 1] - step.token_indptr[seq];
  int position[2];  // of the lane's rows; a query sees the slots up to its own
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    const int row = first_row + lane / 4 + 8 * r;
    position[r] = row < queries.n_queries ? first_position + (queries.query + row) / group : -1;
  }
  const int last_row = min(first_row + 15, queries.n_queries - 1);
  const int last_position = first_position + (queries.query + last_row) / group;  // of the warp's
  const int head = queries.kv_head * kHeadParts;
  const int32_t* const sealed = step.sealed_parts + step.sealed_indptr[seq];
  const int n_sealed = step.sealed_indptr[seq + 1] - step.sealed_indptr[seq];
  auto& tile = *reinterpret_cast<DecodedTile<kDim>*>(shared_memory());
  RowQueries<kDim> q;
  q.load(p, queries, first_row, lane);
  RowSums<kDim> sums;
  for (int at = item.first_tile; at < item.end_tile; ++at) {
    __syncthreads();  // every warp is done with the last one
    int start = 0;    // position of the tile's first token; sealed ones are seen by all
    if (at < n_sealed) {
      decode_sealed<kDim>(store, sealed_part(store, sealed[at] + head), tile);
    } else {
      const int hot = step.hot_indptr[seq] + at - n_sealed;
      start = step.hot_first[hot];
      copy_hot<kDim>(store, hot_part(store, step.hot_parts[hot] + head), n_written - start, tile);
    }
    __syncthreads();
    if (idle || (at >= n_sealed && start > last_position)) continue;
    RowScores scores;
    score_rows(tile, q, lane, scores);
    if (at >= n_sealed) {
#pragma unroll
      for (int n = 0; n < kTile / 8; ++n) {
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          const bool seen = start + 8 * n + 2 * (lane % 4) + i % 2 <= position[i / 2];
          scores[n][i] = seen ? scores[n][i] : -INFINITY;
        }
      }
    }
    weigh_rows(scores, sums);
    sum_rows(tile, scores, lane, sums);
  }
  if (!idle) store_rows(p, item, first_row, lane, sums);
}

}  // namespace tq::kernels::cuda
