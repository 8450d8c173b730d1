#pragma once
// Step: what the scheduler asks of a runner, as plain values. Engine thread. Spans point into the
// scheduler's sequences and are valid during StepRunner::run() only.

#include <cstdint>
#include <span>
#include <vector>

#include "config/ids.h"
#include "kernels/block_copy.h"

namespace tq::engine {

// Blocks between the pools and those of the host, in all layers.
struct SwapOps {
  std::vector<kernels::BlockCopy> hot;
  std::vector<kernels::BlockCopy> sealed;

  bool empty() const noexcept { return hot.empty() && sealed.empty(); }
  size_t size() const noexcept { return hot.size() + sealed.size(); }
  void clear() noexcept {
    hot.clear();
    sealed.clear();
  }
};

// Code a full hot block into a sealed one; done before the step's items, in all layers.
struct SealOp {
  BlockId hot = kNoBlock;
  BlockId sealed = kNoBlock;
};

// Compute tokens [first, first + tokens.size()) of a sequence. There are no phases: a prompt chunk
// and a decode step differ in length only.
struct StepItem {
  SeqId seq{};
  int32_t first = 0;
  std::span<const TokenId> tokens;
  // Blocks that hold positions [0, first + tokens.size()), less what is sealed; ascending.
  std::span<const BlockId> hot_blocks;
  std::span<const int32_t> hot_first;  // position of slot 0 of each hot block
  std::span<const BlockId> sealed_blocks;
  bool sample = false;  // logits of the item's last token are wanted
};

// All that is done in this order: a block that is swapped out is free for what comes after.
struct StepPlan {
  SwapOps swaps_out;  // of preempted sequences, to the host
  SwapOps swaps_in;   // of sequences that go on, from there
  std::vector<SealOp> seals;
  std::vector<StepItem> items;
  int32_t n_tokens = 0;  // over all items

  bool empty() const noexcept { return items.empty(); }
};

}  // namespace tq::engine
