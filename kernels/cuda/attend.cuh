#pragma once
// Attention of up to 8 queries over a part of a sequence's tiles, in the rotated domain, without
// decoding a row: the block's warps take its tiles in turn, each with a softmax of its own; at the
// end they are merged into the part's state. combine.cuh folds the parts.
//
// Bytes read per token: those of its codes and scales, once. Codes meet integer coefficients in
// int8 tensor cores (attend_keys.cuh, attend_values.cuh), hot rows meet bf16 ones.

#include "kernels/cuda/attend_bias.cuh"
#include "kernels/cuda/attend_keys.cuh"
#include "kernels/cuda/attend_merge.cuh"
#include "kernels/cuda/attend_values.cuh"

namespace tq::kernels::cuda {

// This warp's sealed tiles, from `first`.
template <int kKBits, int kVBits, int kDim, int kQueries, bool kBiased>
__device__ __forceinline__ void attend_sealed(const AttendParams& p,
                                              const QueryBlock& queries,
                                              const float* q_row,
                                              int first,
                                              int end,
                                              int lane,
                                              Sums<kDim>& sums) {
  if (first >= end) return;
  using Keys = KeyTile<kKBits, kDim, kQueries>;
  using Values = ValueTile<kVBits, kDim>;
  constexpr bool kEarly = kDim <= 128;  // registers hold one half's words while the other is used
  const StoreView& store = p.store;
  const LanePlace k(store.sealed_k, Codes<kKBits>::first_load(lane, kKeyRowBytes),
                    Keys::first_scale(lane));
  const LanePlace v(store.sealed_v, Codes<kVBits>::first_load(lane, 4 * kDim),
                    Values::first_scale(lane));
  const int32_t n_before = p.step.sealed_indptr[queries.seq];
  const int32_t* const parts = p.step.sealed_parts + n_before;
  const int head = queries.kv_head * kHeadParts;
  int tile = first;
  PartPlace place = sealed_part(store, parts[tile] + head);
  Keys keys;
  k.load(keys, place, lane);
  Table<kKBits> books[kBooksMax] = {};
#pragma unroll
  for (int book = 0; book < 1 << key_book_bits(kKBits); ++book) {
    books[book] = table_of_book<kKBits>(store.sealed_k, book);
  }
  const Table<kVBits> v_table = table_of_book<kVBits>(store.sealed_v, 0);
  KeyQueries<kKBits, kDim, kQueries> q;
  q.load(q_row, p.scale_log2, lane);
  for (;;) {
    Values values;
    if constexpr (kEarly) v.load(values, place, lane);
    const int here = tile;
    tile += kAttendWarps;
    const bool more = tile < end;
    const int next = more ? parts[tile] + head : 0;
    Scores scores;
    score_tile(keys, q, books, lane, scores);
    if constexpr (kBiased) {
      add_bias<kDim>(p, queries.kv_head, p.step.sealed_first[n_before + here], lane, scores);
    }
    if constexpr (!kEarly) v.load(values, place, lane);
    weigh(scores, sums);
    if (more) {
      place = sealed_part(store, next);
      if constexpr (kEarly) k.load(keys, place, lane);
    }
    sum_tile(values, scores, v_table, kTile, lane, sums);
    if (!more) break;
    if constexpr (!kEarly) k.load(keys, place, lane);
  }
}

// This warp's hot tiles, from `first`, which counts from the first of them. A query
// sees the slots up to its own position.
template <int kDim, int kQueries, bool kBiased>
__device__ __forceinline__ void attend_hot(const AttendParams& p,
                                           const QueryBlock& queries,
                                           const float* q_row,
                                           int first,
                                           int end,
                                           int lane,
                                           Sums<kDim>& sums) {
  if (first >= end) return;
  const StoreView& store = p.store;
  const StepView& step = p.step;
  const LanePlace k(store.hot_k, Codes<16>::first_load(lane, kKeyRowBytes), 0);
  const LanePlace v(store.hot_v, Codes<16>::first_load(lane, 4 * kDim), 0);
  const int seq = queries.seq;
  const int32_t hot = step.hot_indptr[seq];
  const int group = p.n_heads / store.n_kv_heads;
  const int n_rows = step.token_indptr[seq + 1] - step.token_indptr[seq];
  const int first_position = step.first_position[seq];
  const int g = lane / 4, t = lane % 4;
  int position[2];
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    const int column = (2 * t + i) % kQueries;
    position[i] =
        column < queries.n_queries ? first_position + (queries.query + column) / group : -1;
  }
  const Table<16> none[kBooksMax] = {};
  KeyQueries<16, kDim, kQueries> q;
  q.load(q_row, p.scale_log2, lane);
  for (int tile = first; tile < end; tile += kAttendWarps) {
    const PartPlace place =
        hot_part(store, step.hot_parts[hot + tile] + queries.kv_head * kHeadParts);
    const int start = step.hot_first[hot + tile];
    KeyTile<16, kDim, kQueries> keys;
    ValueTile<16, kDim> values;
    k.load(keys, place, lane);
    v.load(values, place, lane);
    Scores scores;
    score_tile(keys, q, none, lane, scores);
    if constexpr (kBiased) add_bias<kDim>(p, queries.kv_head, start, lane, scores);
#pragma unroll
    for (int m = 0; m < 2; ++m) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const bool seen = start + 4 * g + 2 * m + i / 2 <= position[i % 2];
        scores[m][i] = seen ? scores[m][i] : -INFINITY;
      }
    }
    weigh(scores, sums);
    sum_tile(values, scores, none[0], first_position + n_rows - start, lane, sums);
  }
}

// Blocks to a multiprocessor, as many as their registers leave room for: those of the words of a
// tile that are on their way weigh most.
template <int kKBits, int kVBits, int kDim>
inline constexpr int kAttendBlocks = kDim > 128 || 32 * kSteps<kDim>*(Codes<kKBits>::kPrefetched +
                                                                      Codes<kVBits>::kPrefetched) >
                                                       300
                                         ? 2
                                         : 3;

// One block per item of at most kQueries queries.
template <int kKBits, int kVBits, int kDim, int kQueries, bool kBiased>
__device__ __forceinline__ void attend_item(const AttendParams& p) {
  const AttendItem item = p.items[blockIdx.x];
  const QueryBlock& queries = item.block;
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  const int column = lane / 4 % kQueries;
  const float* const q_row =
      column < queries.n_queries ? p.q + query_row(p, queries, column) * kDim : nullptr;
  const int n_sealed = p.step.sealed_indptr[queries.seq + 1] - p.step.sealed_indptr[queries.seq];
  if constexpr (kBiased) load_plain_queries<kDim>(p, queries);
  Sums<kDim> sums;
  const int first = item.first_tile + warp;
  attend_sealed<kKBits, kVBits, kDim, kQueries, kBiased>(p, queries, q_row, first,
                                                         min(item.end_tile, n_sealed), lane, sums);
  // The first of this warp's tiles that is hot.
  const int skipped = max(0, (n_sealed - first + kAttendWarps - 1) / kAttendWarps);
  attend_hot<kDim, kQueries, kBiased>(p, queries, q_row, first + skipped * kAttendWarps - n_sealed,
                                      item.end_tile - n_sealed, lane, sums);
  merge_warps<kDim, kQueries>(sums, p.states + item.state * attend_state_floats(kDim));
}

// Shared memory: kAttendSharedBytes.
template <int kKBits, int kVBits, int kDim, int kQueries>
__global__ void __launch_bounds__(kAttendThreads, kAttendBlocks<kKBits, kVBits, kDim>)
    attend(const AttendParams p) {
  attend_item<kKBits, kVBits, kDim, kQueries, false>(p);
}

// With a key bias. Shared memory: kBiasSharedBytes.
template <int kKBits, int kVBits, int kDim>
__global__ void __launch_bounds__(kAttendThreads, 2) attend_biased(const AttendParams p) {
  attend_item<kKBits, kVBits, kDim, kAttendQueries, true>(p);
}

}  // namespace tq::kernels::cuda
