#include "kernels/tile_table.h"

#include "kernels/batch_tiles.h"

namespace tq::kernels {

namespace {

void clear(TileList& list) {
  list.indptr.assign(1, 0);
  list.parts.clear();
  list.positions.clear();
}

void add_block(const quant::BlockLayout& layout, BlockId block, int32_t position, TileList& list) {
  for (int tile = 0; tile < layout.n_tiles(); ++tile) {
    list.parts.push_back(static_cast<int32_t>(layout.part(raw(block), tile)));
    list.positions.push_back(position + tile * quant::kTileTokens);
  }
}

}  // namespace

void TileTable::build(const PagedBatch& batch, const quant::BlockLayout& layout) {
  clear(sealed);
  clear(hot);
  for (size_t s = 0; s < static_cast<size_t>(batch.n_seqs); ++s) {
    for_sealed_blocks(batch, s, layout.block_tokens(), [&](BlockId block, int32_t position) {
      add_block(layout, block, position, sealed);
    });
    for (auto i = static_cast<size_t>(batch.hot_indptr[s]);
         i < static_cast<size_t>(batch.hot_indptr[s + 1]); ++i) {
      add_block(layout, batch.hot_blocks[i], batch.hot_first[i], hot);
    }
    sealed.indptr.push_back(static_cast<int32_t>(sealed.parts.size()));
    hot.indptr.push_back(static_cast<int32_t>(hot.parts.size()));
  }
}

}  // namespace tq::kernels
