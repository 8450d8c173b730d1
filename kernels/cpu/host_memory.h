#pragma once
// Large zeroed regions of ordinary memory for the CPU backends, in huge pages where the system
// gives them. Any thread.

#include <cstdint>
#include <string_view>

#include "config/result.h"
#include "kernels/kv_arena.h"

namespace tq::kernels::cpu {

// `what` it is for is part of the error, which names the bytes that could not be had.
Result<KvArena::Region> map_region(std::string_view what, uint64_t n_bytes);

}  // namespace tq::kernels::cpu
