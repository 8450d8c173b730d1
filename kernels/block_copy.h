#pragma once
// Blocks on their way from one arena to another of the same layout: DeviceAttention::copy_blocks().
// Values and their check; any thread.

#include <span>

#include "config/ids.h"
#include "config/result.h"
#include "kernels/kv_arena.h"

namespace tq::kernels {

struct BlockCopy {
  BlockId from = kNoBlock;
  BlockId to = kNoBlock;
};

// Whole blocks, in all layers. What a call reads, no other part of it writes: the arenas differ.
struct CopyCall {
  const KvArena* from = nullptr;
  const KvArena* to = nullptr;
  std::span<const BlockCopy> hot{};
  std::span<const BlockCopy> sealed{};
};

// Errors name the field: an arena of another layout, or the same one twice; a block outside its
// pool; one that is written twice.
Result<void> check_copy(const quant::BlockLayout& layout, const CopyCall& call);

}  // namespace tq::kernels
