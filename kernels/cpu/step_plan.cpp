#include "kernels/cpu/step_plan.h"

#include <algorithm>

#include "kernels/batch_tiles.h"
#include "kernels/cpu/isa_kernels.h"

namespace tq::kernels::cpu {

void StepPlan::build(const PagedBatch& batch, const StepGeometry& geometry) {
  batch_ = batch;
  tiles_.build(batch, *geometry.layout);
  items_.clear();
  splits_.clear();
  runs_.clear();
  n_split_states_ = 0;
  work_ = 0;
  for (size_t s = 0; s < static_cast<size_t>(batch.n_seqs); ++s) {
    place_tokens(s, geometry.layout->block_tokens());
    add_items(s, geometry);
  }
}

void StepPlan::place_tokens(size_t s, int block_tokens) {
  const int64_t first = batch_.first_position[s];
  const int64_t end = first + batch_.token_indptr[s + 1] - batch_.token_indptr[s];
  for (int32_t i = batch_.hot_indptr[s]; i < batch_.hot_indptr[s + 1]; ++i) {
    const auto h = static_cast<size_t>(i);
    const int64_t start = batch_.hot_first[h];
    const int64_t stop = std::min(start + block_tokens, end);
    for (int64_t p = std::max(start, first); p < stop;) {
      const int64_t tile_end =
          std::min(stop, (p / kTile + 1) * kTile);  // start is a multiple of kTile
      runs_.push_back({.token = static_cast<int32_t>(batch_.token_indptr[s] + p - first),
                       .n_tokens = static_cast<int32_t>(tile_end - p),
                       .block = batch_.hot_blocks[h],
                       .tile = static_cast<int32_t>((p - start) / kTile),
                       .slot = static_cast<int32_t>((p - start) % kTile)});
      p = tile_end;
    }
  }
}

void StepPlan::add_items(size_t s, const StepGeometry& geometry) {
  const int32_t n_rows = batch_.token_indptr[s + 1] - batch_.token_indptr[s];
  const int32_t rows_per_item = std::max(1, kQueriesMax / geometry.group);
  for (int32_t row = 0; row < n_rows; row += rows_per_item) {
    const int32_t n = std::min(rows_per_item, n_rows - row);
    const int32_t n_tiles = tiles_until(batch_, s, int64_t{batch_.first_position[s]} + row + n - 1,
                                        geometry.layout->block_tokens());
    const int32_t n_parts = (n_tiles + kPartTiles - 1) / kPartTiles;
    work_ += int64_t{n_tiles} * n * geometry.group * geometry.layout->shape().n_kv_heads;
    // A prefill has items enough; the parts of a decode's single row are what threads can share.
    const bool split = geometry.n_threads > 1 && n_rows <= rows_per_item && n_parts > 1;
    for (int32_t kv_head = 0; kv_head < geometry.layout->shape().n_kv_heads; ++kv_head) {
      AttnItem item{.seq = static_cast<int32_t>(s),
                    .kv_head = kv_head,
                    .row = row,
                    .n_rows = n,
                    .n_tiles = n_tiles};
      if (!split) {
        items_.push_back(item);
        continue;
      }
      item.split = static_cast<int32_t>(splits_.size());
      splits_.push_back({.n_parts = n_parts, .first_state = n_split_states_, .n_left = n_parts});
      n_split_states_ += n_parts;
      for (item.part = 0; item.part < n_parts; ++item.part) items_.push_back(item);
    }
  }
}

}  // namespace tq::kernels::cpu
