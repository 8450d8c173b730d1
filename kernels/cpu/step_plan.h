#pragma once
// StepPlan: how the CPU backend divides one step among its threads, made once per step and used by
// every layer. Engine thread builds it; the pool's threads read it.
//
// A query row's result must not depend on its neighbours, so nothing here changes arithmetic: keys
// are cut into parts of kPartTiles tiles counted from the sequence's first tile, and parts are
// folded in that order, whether one thread walks all of them or each is an item of its own.

#include <cstdint>
#include <span>
#include <vector>

#include "config/ids.h"
#include "kernels/paged_attention.h"
#include "kernels/paged_batch.h"
#include "kernels/tile_table.h"
#include "quant/block_layout.h"

namespace tq::kernels::cpu {

// Rows of one sequence and one KV head, over all their parts or over one.
struct AttnItem {
  int32_t seq = 0;
  int32_t kv_head = 0;
  int32_t row = 0;  // first row, from the sequence's first in this step
  int32_t n_rows = 0;
  int32_t n_tiles = 0;  // that the last row sees
  int32_t part = -1;    // -1: all parts, in order
  int32_t split = -1;   // index of the SplitGroup that this part belongs to
};

// The parts of one item that was split, to be folded by the last that finishes.
struct SplitGroup {
  int32_t n_parts = 0;
  int32_t first_state = 0;  // index of part 0's state among all split states
  int32_t n_left = 0;       // counted down atomically by the threads; reset by the last
};

// Tokens of the step that are written to neighbouring slots of one hot tile. Tokens of one tile
// share words, so a tile is never written by two threads.
struct TokenRun {
  int32_t token = 0;  // row of the step
  int32_t n_tokens = 0;
  BlockId block = kNoBlock;
  int32_t tile = 0;  // of the block
  int32_t slot = 0;  // of the tile
};

struct StepGeometry {
  const quant::BlockLayout* layout = nullptr;
  int group = 0;  // query heads per KV head
  int n_threads = 1;
};

class StepPlan final : public AttnPlan {
 public:
  // `batch` has passed check_batch().
  void build(const PagedBatch& batch, const StepGeometry& geometry);

  const PagedBatch& batch() const noexcept override { return batch_; }
  std::span<const AttnItem> items() const noexcept { return items_; }
  std::span<SplitGroup> splits() noexcept { return splits_; }
  int n_split_states() const noexcept { return n_split_states_; }
  std::span<const TokenRun> runs() const noexcept { return runs_; }

  const TileTable& tiles() const noexcept { return tiles_; }
  // Work of an attend() call, in tiles x queries: too little is not worth waking a thread.
  int64_t work() const noexcept { return work_; }

 private:
  void place_tokens(size_t s, int block_tokens);
  void add_items(size_t s, const StepGeometry& geometry);

  PagedBatch batch_;
  std::vector<AttnItem> items_;
  std::vector<SplitGroup> splits_;
  std::vector<TokenRun> runs_;
  TileTable tiles_;
  int n_split_states_ = 0;
  int64_t work_ = 0;
};

}  // namespace tq::kernels::cpu
