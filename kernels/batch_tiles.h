#pragma once
// The blocks of a checked batch's sequence: where sealed ones lie, and how many tiles a row attends
// to, which every backend cuts into work. Pure; any thread.

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "kernels/paged_batch.h"
#include "quant/block_layout.h"

namespace tq::kernels {

// Tiles of the sequence, sealed ones first, up to the last that holds a position <= `position`.
inline int32_t tiles_until(const PagedBatch& batch,
                           size_t seq,
                           int64_t position,
                           int block_tokens) noexcept {
  constexpr int32_t kTile = quant::kTileTokens;
  const int32_t per_block = block_tokens / kTile;
  int32_t tiles = (batch.sealed_indptr[seq + 1] - batch.sealed_indptr[seq]) * per_block;
  for (int32_t i = batch.hot_indptr[seq]; i < batch.hot_indptr[seq + 1]; ++i) {
    const int64_t before = position + 1 - batch.hot_first[static_cast<size_t>(i)];
    if (before <= 0) break;
    tiles += static_cast<int32_t>(std::min<int64_t>(per_block, (before + kTile - 1) / kTile));
  }
  return tiles;
}

// use(block, position of its first token) for the sealed blocks: they hold the positions that hot
// blocks leave free.
template <class Use>
void for_sealed_blocks(const PagedBatch& batch, size_t seq, int block_tokens, Use use) {
  int32_t hot = batch.hot_indptr[seq];
  int32_t position = 0;
  for (int32_t i = batch.sealed_indptr[seq]; i < batch.sealed_indptr[seq + 1]; ++i) {
    for (; hot < batch.hot_indptr[seq + 1] && batch.hot_first[static_cast<size_t>(hot)] == position;
         ++hot) {
      position += block_tokens;
    }
    use(batch.sealed_blocks[static_cast<size_t>(i)], position);
    position += block_tokens;
  }
}

}  // namespace tq::kernels
