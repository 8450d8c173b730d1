#pragma once
// Large zeroed regions of ordinary memory for the CPU backends, in huge pages where the system
// gives them. Any thread.

#include "config/result.h"
#include "kernels/kv_arena.h"

namespace tq::kernels::cpu {

// Both pools of `layout`, allocated and zeroed. An error names the bytes that could not be had.
Result<KvArena> allocate_arena(const quant::BlockLayout& layout, PoolSizes sizes);

}  // namespace tq::kernels::cpu
