#pragma once
// TileTable: where the tiles of a step's sequences lie, as every backend's kernels walk them: of
// each sequence its sealed tiles in ascending order, then its hot ones. Made once per step, for all
// layers and KV heads. Plain value; vectors keep their memory from step to step.

#include <cstdint>
#include <vector>

#include "kernels/paged_batch.h"
#include "quant/block_layout.h"

namespace tq::kernels {

// CSR by sequence, as in PagedBatch.
struct TileList {
  std::vector<int32_t> indptr;
  std::vector<int32_t> parts;      // quant::BlockLayout::part(), of KV head 0
  std::vector<int32_t> positions;  // of a tile's first token
};

struct TileTable {
  TileList sealed;
  TileList hot;

  // `batch` has passed check_batch().
  void build(const PagedBatch& batch, const quant::BlockLayout& layout);
};

}  // namespace tq::kernels
