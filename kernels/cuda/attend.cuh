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

// The block's item and the warp's number, found anew by whatever needs them: what is kept over a
// loop does not fit into registers beside its words.
__device__ __forceinline__ AttendItem read_item(const AttendParams& p) {
  return p.items[forgotten(static_cast<int>(blockIdx.x))];
}

__device__ __forceinline__ int own_warp() { return forgotten(static_cast<int>(threadIdx.x)) / 32; }

// For the addresses of a half. They are computed for each tile, but at head_dim 64, where there is
// room to keep them.
template <int kDim>
__device__ __forceinline__ int address_lane(int lane) {
  return kDim > 64 ? forgotten(lane) : lane;
}

// The query of the lane's own column, rotated; null: none.
template <int kDim, int kQueries>
__device__ __forceinline__ const float* lane_query(const AttendParams& p,
                                                   const QueryBlock& queries,
                                                   int lane) {
  const int column = lane / 4 % kQueries;
  return column < queries.n_queries ? p.q + query_row(p, queries, column) * kDim : nullptr;
}

// Of this warp's tiles, the sealed ones.
template <int kKBits, int kVBits, int kDim, int kQueries, bool kBiased>
__device__ __forceinline__ void attend_sealed(const AttendParams& p, int lane, Sums<kDim>& sums) {
  const AttendItem item = read_item(p);
  const QueryBlock& queries = item.block;
  const int32_t n_before = p.step.sealed_indptr[queries.seq];
  const int end = min(n_before + item.end_tile, p.step.sealed_indptr[queries.seq + 1]);
  int tile = n_before + item.first_tile + own_warp();
  if (tile >= end) return;
  using Keys = KeyTile<kKBits, kDim, kQueries>;
  using Values = ValueTile<kVBits, kDim>;
  const StoreView& store = p.store;
  const int head = queries.kv_head * kHeadParts;
  int part = p.step.sealed_parts[tile] + head;
  Keys keys;
  load_half(keys, store.sealed_k, sealed_part(store, part), lane);
  Table<kKBits> books[kBooksMax] = {};
#pragma unroll
  for (int book = 0; book < 1 << key_book_bits(kKBits); ++book) {
    books[book] = table_of_book<kKBits>(store.sealed_k, book);
  }
  const Table<kVBits> v_table = table_of_book<kVBits>(store.sealed_v, 0);
  KeyQueries<kKBits, kDim, kQueries> q;
  q.load(lane_query<kDim, kQueries>(p, queries, lane), p.scale_log2, lane);
  for (;;) {
    Values values;
    if constexpr (kEarly<kVBits, kDim>) {
      load_half(values, store.sealed_v, sealed_part(store, part), address_lane<kDim>(lane));
    }
    const int here = tile;
    tile += kAttendWarps;
    const bool more = tile < end;
    const int next = more ? p.step.sealed_parts[tile] + head : 0;
    Scores scores;
    score_tile<kBiased>(keys, q, books, lane, scores);
    if constexpr (kBiased) {
      add_bias<kDim>(p, queries.kv_head, p.step.sealed_first[here], lane, scores);
    }
    if constexpr (!kEarly<kVBits, kDim>) {
      load_half(values, store.sealed_v, sealed_part(store, forgotten(part)),
                address_lane<kDim>(lane));
    }
    weigh(scores, sums);
    part = next;
    if (kEarly<kKBits, kDim> && more) {
      load_half(keys, store.sealed_k, sealed_part(store, part), address_lane<kDim>(lane));
    }
    sum_tile(values, scores, v_table, kTile, lane, sums);
    if (!more) break;
    if constexpr (!kEarly<kKBits, kDim>) {
      load_half(keys, store.sealed_k, sealed_part(store, part), address_lane<kDim>(lane));
    }
  }
}

// Of this warp's tiles, the hot ones. A query sees the slots up to its own position.
template <int kDim, int kQueries, bool kBiased>
__device__ __forceinline__ void attend_hot(const AttendParams& p, int lane, Sums<kDim>& sums) {
  const AttendItem item = read_item(p);
  const QueryBlock& queries = item.block;
  const StoreView& store = p.store;
  const StepView& step = p.step;
  const int seq = queries.seq;
  const int warp = own_warp();
  const int n_sealed = step.sealed_indptr[seq + 1] - step.sealed_indptr[seq];
  const int skipped = max(0, (n_sealed - item.first_tile - warp + kAttendWarps - 1) / kAttendWarps);
  const int before = step.hot_indptr[seq] - n_sealed;
  const int end = before + item.end_tile;
  int tile = before + item.first_tile + warp + skipped * kAttendWarps;
  if (tile >= end) return;
  using Keys = KeyTile<16, kDim, kQueries>;
  using Values = ValueTile<16, kDim>;
  const int head = queries.kv_head * kHeadParts;
  const int group = p.n_heads / store.n_kv_heads;
  const int first_position = step.first_position[seq];
  const int end_position = first_position + step.token_indptr[seq + 1] - step.token_indptr[seq];
  int position[2];
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    const int column = (lane % 4 * 2 + i) % kQueries;
    position[i] =
        column < queries.n_queries ? first_position + (queries.query + column) / group : -1;
  }
  const Table<16> none[kBooksMax] = {};
  KeyQueries<16, kDim, kQueries> q;
  q.load(lane_query<kDim, kQueries>(p, queries, lane), p.scale_log2, lane);
  for (; tile < end; tile += kAttendWarps) {
    if constexpr (!kRoomy<kDim>) lane = forgotten(lane);
    const int part = step.hot_parts[tile] + head;
    const int start = step.hot_first[tile];
    Keys keys;
    load_half(keys, store.hot_k, hot_part(store, part), address_lane<kDim>(lane));
    Scores scores;
    score_tile<kBiased>(keys, q, none, lane, scores);
    if constexpr (kBiased) add_bias<kDim>(p, queries.kv_head, start, lane, scores);
    if constexpr (!kRoomy<kDim>) lane = forgotten(lane);
    Values values;
    load_half(values, store.hot_v, hot_part(store, kRoomy<kDim> ? part : forgotten(part)), lane);
#pragma unroll
    for (int m = 0; m < 2; ++m) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const bool seen = start + lane / 4 * 4 + 2 * m + i / 2 <= position[i % 2];
        scores[m][i] = seen ? scores[m][i] : -INFINITY;
      }
    }
    weigh(scores, sums);
    sum_tile(values, scores, none[0], end_position - start, lane, sums);
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
  const int lane = static_cast<int>(threadIdx.x) % 32;
  if constexpr (kBiased) load_plain_queries<kDim>(p, read_item(p).block);
  Sums<kDim> sums;
  attend_sealed<kKBits, kVBits, kDim, kQueries, kBiased>(p, lane, sums);
  attend_hot<kDim, kQueries, kBiased>(p, lane, sums);
  merge_warps<kDim, kQueries>(sums, p.states + read_item(p).state * attend_state_floats(kDim));
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
