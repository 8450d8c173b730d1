#include "kernels/cuda/attend_plan.h"

#include <algorithm>
#include <bit>

#include "kernels/batch_tiles.h"

namespace tq::kernels::cuda {
namespace {

constexpr int32_t kSplitRowsMax = 8;   // sequences with more rows are not split
constexpr int32_t kPartTilesMin = 32;  // a part's start and merge take as long as a few tiles
constexpr int32_t kPartsMax = 64;

int32_t part_tiles(int32_t n_tiles, int32_t n_rows) {
  if (n_rows > kSplitRowsMax) return std::max(n_tiles, 1);
  const auto least = static_cast<uint32_t>((n_tiles + kPartsMax - 1) / kPartsMax);
  return std::max(kPartTilesMin, static_cast<int32_t>(std::bit_ceil(least)));
}

}  // namespace

void AttendPlan::build(const PagedBatch& batch, const AttendGeometry& geometry) {
  items.clear();
  blocks.clear();
  n_small_items = 0;
  n_states = 0;
  for (size_t s = 0; s < static_cast<size_t>(batch.n_seqs); ++s) {
    const int32_t n_rows = batch.token_indptr[s + 1] - batch.token_indptr[s];
    const int32_t n_queries = n_rows * geometry.group;
    for (int32_t query = 0; query < n_queries; query += kAttendQueries) {
      const int32_t n = std::min(kAttendQueries, n_queries - query);
      const int64_t last = int64_t{batch.first_position[s]} + (query + n - 1) / geometry.group;
      const int32_t n_tiles = tiles_until(batch, s, last, geometry.block_tokens);
      const int32_t size = part_tiles(n_tiles, n_rows);
      const int32_t n_parts = std::max(1, (n_tiles + size - 1) / size);
      for (int32_t kv_head = 0; kv_head < geometry.n_kv_heads; ++kv_head) {
        const QueryBlock block{.seq = static_cast<int32_t>(s),
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
  std::stable_partition(items.begin(), items.end(), [](const AttendItem& item) {
    return item.block.n_queries <= kAttendQueries / 2;
  });
}

}  // namespace tq::kernels::cuda
