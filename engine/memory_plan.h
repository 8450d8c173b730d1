#pragma once
// MemoryPlan: how large the two pools are, from one byte budget, and what fits into them; printed
// at the start and by --dry-run. Pure; any thread.

#include <cstdint>
#include <string>

#include "config/engine_config.h"
#include "config/result.h"
#include "kernels/kv_arena.h"
#include "quant/block_layout.h"

namespace tq::engine {

// Of the memory left beside the weights, this share is taken where no budget is given: activations,
// the HTTP side and other processes need the rest.
inline constexpr double kKvShareOfFree = 0.5;

// Swap space takes this share of the host's available memory at most.
inline constexpr double kSwapShareOfFree = 0.5;

struct MemoryFacts {
  uint64_t weight_bytes = 0;     // of the model, as it will lie in memory
  uint64_t workspace_bytes = 0;  // that a step needs besides; 0: not counted
  uint64_t available_bytes = 0;  // for weights, workspace and KV together; 0: unknown
  uint64_t host_bytes = 0;       // of ordinary memory, beside a device's; 0: all is ordinary
  double kv_share = kKvShareOfFree;
  int64_t model_context_max = 0;
};

struct MemoryPlan {
  kernels::PoolSizes pools;
  kernels::PoolSizes host_pools;  // of preempted sequences
  // Tokens that one sequence may have: asked for, or the model's, or what the pools hold if that is
  // less.
  int64_t context_max = 0;

  uint64_t weight_bytes = 0;
  uint64_t workspace_bytes = 0;
  uint64_t available_bytes = 0;
  uint64_t budget_bytes = 0;
  uint64_t hot_bytes = 0;     // of the hot pool
  uint64_t sealed_bytes = 0;  // of the sealed pool
  uint64_t swap_bytes = 0;    // of the host's pools
  double hot_bytes_per_token = 0.0;
  double sealed_bytes_per_token = 0.0;
  int64_t tokens = 0;           // that both pools hold when they are full
  int64_t hot_per_seq = 0;      // blocks a long sequence needs while it runs
  int64_t seqs_of_context = 0;  // sequences of context_max tokens at once
  int64_t context_wanted = 0;   // before the pools limited it
  std::string formats;
  KvConfig kv;

  double ratio() const noexcept { return sealed_bytes_per_token / hot_bytes_per_token; }
  std::string describe() const;  // some lines, for a person
};

// Errors name --kv-memory and the least that would do, or the contradiction.
Result<MemoryPlan> plan_memory(const quant::BlockLayout& layout,
                               const EngineConfig& config,
                               const MemoryFacts& facts);

}  // namespace tq::engine
