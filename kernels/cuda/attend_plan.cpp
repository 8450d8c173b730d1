#include "kernels/cuda/attend_plan.h"

#include <algorithm>
#include <bit>

#include "kernels/batch_tiles.h"

namespace tq::kernels::cuda {
namespace {

constexpr int32_t kSplitRowsMax = 8;   // few queries, but of more rows, are not split
constexpr int32_t kPartTilesMin = 32;  // a part's start and merge take as long as a few tiles
constexpr int32_t kPartsMax = 64;
constexpr int32_t kRowItemsWanted = 128;  // of a sequence: about the multiprocessors of a device

int32_t n_rows_of(const PagedBatch& batch, size_t seq) {
  return batch.token_indptr[seq + 1] - batch.token_indptr[seq];
}

// Tiles that the queries before `end` see.
int32_t n_tiles_of(const PagedBatch& batch,
                   size_t seq,
                   int32_t end,
                   const AttendGeometry& geometry) {
  const int64_t last = int64_t{batch.first_position[seq]} + (end - 1) / geometry.group;
  return tiles_until(batch, seq, last, geometry.block_tokens);
}

int32_t divide_up(int32_t n, int32_t by) { return (n + by - 1) / by; }

int32_t part_tiles(int32_t n_tiles, int32_t n_rows) {
  if (n_rows > kSplitRowsMax) return std::max(n_tiles, 1);
  const auto least = static_cast<uint32_t>(divide_up(n_tiles, kPartsMax));
  return std::max(kPartTilesMin, static_cast<int32_t>(std::bit_ceil(least)));
}

}  // namespace

void AttendPlan::add_items(const PagedBatch& batch, size_t seq, const AttendGeometry& geometry) {
  const int32_t n_rows = n_rows_of(batch, seq);
  const int32_t n_queries = n_rows * geometry.group;
  for (int32_t query = 0; query < n_queries; query += kAttendQueries) {
    const int32_t n = std::min(kAttendQueries, n_queries - query);
    const int32_t n_tiles = n_tiles_of(batch, seq, query + n, geometry);
    const int32_t size = part_tiles(n_tiles, n_rows);
    const int32_t n_parts = std::max(1, divide_up(n_tiles, size));
    for (int32_t kv_head = 0; kv_head < geometry.n_kv_heads; ++kv_head) {
      const QueryBlock block{.seq = static_cast<int32_t>(seq),
                             .kv_head = kv_head,
                             .query = query,
                             .n_queries = n,
                             .first_state = n_states,
                             .n_parts = n_parts};
      blocks.push_back(block);
      for (int32_t part = 0; part < n_parts; ++part) {
        if (n <= kAttendQueries / 2) ++n_small_items;
        items.push_back({.block = block,
                         .first_tile = part * size,
                         .end_tile = std::min(n_tiles, (part + 1) * size),
                         .state = n_states++});
      }
    }
  }
}

void AttendPlan::add_row_items(const PagedBatch& batch,
                               size_t seq,
                               const AttendGeometry& geometry) {
  const int32_t n_queries = n_rows_of(batch, seq) * geometry.group;
  const int32_t n_unsplit = divide_up(n_queries, kAttendRowQueries) * geometry.n_kv_heads;
  const int32_t parts_wanted = std::max(1, kRowItemsWanted / n_unsplit);
  const int32_t size =
      std::max(kPartTilesMin, divide_up(n_tiles_of(batch, seq, n_queries, geometry), parts_wanted));
  for (int32_t query = 0; query < n_queries; query += kAttendRowQueries) {
    const int32_t n = std::min(kAttendRowQueries, n_queries - query);
    const int32_t n_tiles = n_tiles_of(batch, seq, query + n, geometry);
    const int32_t n_parts = std::max(1, divide_up(n_tiles, size));
    for (int32_t kv_head = 0; kv_head < geometry.n_kv_heads; ++kv_head) {
      QueryBlock block{.seq = static_cast<int32_t>(seq),
                       .kv_head = kv_head,
                       .query = query,
                       .n_queries = n,
                       .first_state = n_states,
                       .n_parts = n_parts};
      for (int32_t part = 0; part < n_parts; ++part) {
        row_items.push_back({.block = block,
                             .first_tile = part * size,
                             .end_tile = std::min(n_tiles, (part + 1) * size),
                             .state = n_states + part});
      }
      for (int32_t first = 0; first < n; first += kAttendQueries) {
        block.query = query + first;
        block.n_queries = std::min(kAttendQueries, n - first);
        block.first_state = n_states;
        blocks.push_back(block);
        n_states += n_parts;
      }
    }
  }
}

void AttendPlan::build(const PagedBatch& batch, const AttendGeometry& geometry) {
  items.clear();
  row_items.clear();
  blocks.clear();
  n_small_items = 0;
  n_states = 0;
  for (size_t seq = 0; seq < static_cast<size_t>(batch.n_seqs); ++seq) {
    if (geometry.has_rows && n_rows_of(batch, seq) * geometry.group > kFewQueries) {
      add_row_items(batch, seq, geometry);
    } else {
      add_items(batch, seq, geometry);
    }
  }
  std::stable_partition(items.begin(), items.end(), [](const AttendItem& item) {
    return item.block.n_queries <= kAttendQueries / 2;
  });
}

}  // namespace tq::kernels::cuda
