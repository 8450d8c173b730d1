#include "engine/memory_plan.h"

#include <algorithm>
#include <cstdio>
#include <limits>

#include "engine/kv_needs.h"

namespace tq::engine {

namespace {

constexpr uint64_t kBlocksMax = std::numeric_limits<int32_t>::max() / 2;

std::string bytes_text(double bytes) {
  constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  size_t unit = 0;
  while (bytes >= 1024.0 && unit + 1 < std::size(kUnits)) {
    bytes /= 1024.0;
    ++unit;
  }
  char text[32];
  std::snprintf(text, sizeof text, unit == 0 ? "%.0f %s" : "%.2f %s", bytes, kUnits[unit]);
  return text;
}

std::string decimal(double value, const char* format) {
  char text[32];
  std::snprintf(text, sizeof text, format, value);
  return text;
}

// Memory is planned in slabs, which pools are allocated in.
struct Slab {
  uint64_t n_blocks = 1;
  uint64_t hot = 0;  // bytes of one in all layers
  uint64_t sealed = 0;

  explicit Slab(const quant::BlockLayout& layout)
      : n_blocks(static_cast<uint64_t>(layout.slab_blocks())),
        hot(n_blocks * layout.hot_block_bytes()),
        sealed(n_blocks * layout.sealed_block_bytes()) {}
  uint64_t count(uint64_t blocks) const { return (blocks + n_blocks - 1) / n_blocks; }
  kernels::PoolSizes pools(uint64_t n_hot, uint64_t n_sealed) const {
    return {.hot_blocks = static_cast<int32_t>(std::min(n_hot * n_blocks, kBlocksMax)),
            .sealed_blocks = static_cast<int32_t>(std::min(n_sealed * n_blocks, kBlocksMax))};
  }
};

Error too_small(uint64_t budget, uint64_t needed, const KvConfig& kv) {
  return Error{Code::kInvalidArgument,
               "a KV budget of " + bytes_text(static_cast<double>(budget)) +
                   " cannot hold one running sequence: it needs at least " +
                   bytes_text(static_cast<double>(needed)) + " (" + std::to_string(needed) +
                   " bytes) for " + std::to_string(kv.sink_tokens) + " sink, " +
                   std::to_string(kv.window_tokens) + " window and " +
                   std::to_string(kv.seal_stride_tokens) + " stride tokens",
               "--kv-memory"};
}

Result<int64_t> wanted_context(const EngineConfig& config, const MemoryFacts& facts) {
  if (facts.model_context_max < 2) {
    return Error{Code::kInvalidArgument,
                 "the model's context is " + std::to_string(facts.model_context_max) + " tokens",
                 "--model"};
  }
  if (config.context_max > facts.model_context_max) {
    return Error{Code::kInvalidArgument,
                 "a context of " + std::to_string(config.context_max) +
                     " tokens is more than the model's " + std::to_string(facts.model_context_max),
                 "--context"};
  }
  return config.context_max > 0 ? config.context_max : facts.model_context_max;
}

// The budget in bytes. `useful`: more would only hold more of the prefix cache, so no more is taken
// unasked.
Result<uint64_t> budget_of(const KvConfig& kv, const MemoryFacts& facts, uint64_t useful) {
  const uint64_t taken = facts.weight_bytes + facts.workspace_bytes;
  const std::string what = facts.workspace_bytes != 0 ? "weights and activations" : "weights";
  if (facts.available_bytes != 0 && taken >= facts.available_bytes) {
    return Error{Code::kInvalidArgument,
                 "the " + what + " take " + bytes_text(static_cast<double>(taken)) + ", but only " +
                     bytes_text(static_cast<double>(facts.available_bytes)) +
                     " of memory are available",
                 "--model"};
  }
  const uint64_t left = facts.available_bytes - std::min(facts.available_bytes, taken);
  if (kv.budget_bytes != 0) {
    if (facts.available_bytes != 0 && kv.budget_bytes > left) {
      return Error{Code::kInvalidArgument,
                   bytes_text(static_cast<double>(kv.budget_bytes)) + " for KV beside " +
                       bytes_text(static_cast<double>(taken)) + " of " + what +
                       " is more than the " +
                       bytes_text(static_cast<double>(facts.available_bytes)) + " available",
                   "--kv-memory"};
    }
    return kv.budget_bytes;
  }
  if (facts.available_bytes == 0) {
    return Error{Code::kInvalidArgument,
                 "the memory of this machine cannot be told; give the KV budget", "--kv-memory"};
  }
  return std::min(useful, static_cast<uint64_t>(static_cast<double>(left) * facts.kv_share));
}

// The host's pools, in the ratio of the device's.
Result<void> plan_swap(const EngineConfig& config,
                       const MemoryFacts& facts,
                       const quant::BlockLayout& layout,
                       MemoryPlan& plan) {
  if (facts.host_bytes == 0 || config.swap_bytes == 0) return {};
  const Slab slab(layout);
  const uint64_t least = slab.hot + (plan.pools.sealed_blocks > 0 ? slab.sealed : 0);
  if (config.swap_bytes < least) {
    return Error{Code::kInvalidArgument,
                 bytes_text(static_cast<double>(config.swap_bytes)) + " hold no slab of " +
                     std::to_string(slab.n_blocks) + " blocks; give 0 or at least " +
                     std::to_string(least) + " bytes",
                 "--swap-space"};
  }
  const double bytes = std::min(static_cast<double>(config.swap_bytes),
                                static_cast<double>(facts.host_bytes) * kSwapShareOfFree);
  const double share = bytes / static_cast<double>(plan.hot_bytes + plan.sealed_bytes);
  const auto part = [&](int32_t n_blocks) {
    return static_cast<uint64_t>(n_blocks * share / static_cast<double>(slab.n_blocks));
  };
  const uint64_t hot = part(plan.pools.hot_blocks);
  if (hot == 0) return {};  // no sequence is without a hot block
  plan.host_pools = slab.pools(hot, part(plan.pools.sealed_blocks));
  plan.swap_bytes = kernels::arena_bytes(layout, plan.host_pools);
  return {};
}

}  // namespace

Result<MemoryPlan> plan_memory(const quant::BlockLayout& layout,
                               const EngineConfig& config,
                               const MemoryFacts& facts) {
  const KvConfig& kv = config.kv;
  const KvNeeds needs(kv);
  const Slab slab(layout);
  TQ_ASSIGN(const int64_t context, wanted_context(config, facts));
  const auto n_seqs = static_cast<uint64_t>(std::max(1, config.seqs_max));
  const auto n_context_blocks =
      static_cast<uint64_t>((context + kv.block_tokens - 1) / kv.block_tokens);

  // A running sequence: its peak, and room for a whole chunk instead of one token.
  const auto hot_per_seq = std::min(
      n_context_blocks, static_cast<uint64_t>(needs.hot_peak(context)) +
                            static_cast<uint64_t>(kv.seal_stride_tokens / kv.block_tokens));
  const auto sealed_per_seq = static_cast<uint64_t>(needs.sealed(context));
  const uint64_t hot_wanted = slab.count(n_seqs * hot_per_seq);
  const uint64_t sealed_wanted = slab.count(n_seqs * sealed_per_seq);

  // The least: a sequence in its steady state, one token at a time.
  const int64_t short_context = std::min(context, std::max<int64_t>(needs.steady_length(), 2));
  const uint64_t hot_least = slab.count(static_cast<uint64_t>(needs.hot_peak(short_context)));
  const uint64_t sealed_least = slab.count(static_cast<uint64_t>(needs.sealed(short_context)));
  const uint64_t least = hot_least * slab.hot + sealed_least * slab.sealed;

  TQ_ASSIGN(const uint64_t budget,
            budget_of(kv, facts, hot_wanted * slab.hot + sealed_wanted * slab.sealed));
  if (budget < least) return too_small(budget, least, kv);

  // Running sequences first. Where the budget does not hold all sealed blocks besides, no more than
  // half is theirs: long sequences would lack sealed blocks.
  uint64_t hot = budget / slab.hot;
  uint64_t sealed = 0;
  if (sealed_per_seq > 0) {
    const uint64_t beside_sealed = budget - std::min(budget, sealed_wanted * slab.sealed);
    hot = std::clamp(std::max(budget / 2, beside_sealed) / slab.hot, hot_least,
                     std::max(hot_least, hot_wanted));
    sealed = std::max(sealed_least, (budget - std::min(budget, hot * slab.hot)) / slab.sealed);
    hot = (budget - std::min(budget, sealed * slab.sealed)) / slab.hot;
  }

  MemoryPlan plan;
  plan.pools = slab.pools(hot, sealed);
  plan.context_wanted = context;
  plan.context_max = needs.length_max(plan.pools, context);
  plan.weight_bytes = facts.weight_bytes;
  plan.workspace_bytes = facts.workspace_bytes;
  plan.available_bytes = facts.available_bytes;
  plan.budget_bytes = budget;
  const kernels::RegionBytes bytes = kernels::arena_regions(layout, plan.pools);
  plan.hot_bytes = bytes.hot;
  plan.sealed_bytes = bytes.sealed();
  plan.hot_bytes_per_token = layout.hot_bytes_per_token();
  plan.sealed_bytes_per_token = layout.sealed_bytes_per_token();
  plan.tokens = (int64_t{plan.pools.hot_blocks} + plan.pools.sealed_blocks) * kv.block_tokens;
  plan.hot_per_seq = static_cast<int64_t>(hot_per_seq);
  plan.seqs_of_context = plan.pools.hot_blocks / std::max(1, needs.hot_peak(plan.context_max));
  if (needs.sealed(plan.context_max) > 0) {
    plan.seqs_of_context = std::min<int64_t>(
        plan.seqs_of_context, plan.pools.sealed_blocks / needs.sealed(plan.context_max));
  }
  TQ_TRY(plan_swap(config, facts, layout, plan));
  plan.formats = to_string(layout.formats());
  plan.kv = kv;
  return plan;
}

std::string MemoryPlan::describe() const {
  std::string text = "memory plan\n";
  const auto line = [&](const char* name, const std::string& value) {
    text += "  ";
    text += name;
    text.append(22 - std::min<size_t>(21, std::char_traits<char>::length(name)), ' ');
    text += value + '\n';
  };
  if (available_bytes != 0) line("available", bytes_text(static_cast<double>(available_bytes)));
  line("weights", bytes_text(static_cast<double>(weight_bytes)));
  if (workspace_bytes != 0) line("activations", bytes_text(static_cast<double>(workspace_bytes)));
  line("KV, 16 bit (hot)", bytes_text(static_cast<double>(hot_bytes)) + ", " +
                               std::to_string(pools.hot_blocks) + " blocks of " +
                               std::to_string(kv.block_tokens) + " tokens, " +
                               decimal(hot_bytes_per_token, "%.0f") + " bytes per token");
  if (pools.sealed_blocks > 0) {
    line("KV, coded (sealed)", bytes_text(static_cast<double>(sealed_bytes)) + ", " +
                                   std::to_string(pools.sealed_blocks) + " blocks, " +
                                   decimal(sealed_bytes_per_token, "%.0f") + " bytes per token (" +
                                   formats + ", " + decimal(ratio(), "%.4f") + " of bf16)");
  }
  line("KV, both", bytes_text(static_cast<double>(hot_bytes + sealed_bytes)) + ", room for " +
                       std::to_string(tokens) + " tokens");
  if (swap_bytes != 0) {
    line("swap space", bytes_text(static_cast<double>(swap_bytes)) + " of ordinary memory, " +
                           std::to_string(host_pools.hot_blocks) + " hot and " +
                           std::to_string(host_pools.sealed_blocks) +
                           " sealed blocks of preempted sequences");
  }
  line("a long sequence", "keeps up to " + std::to_string(hot_per_seq) + " hot blocks (" +
                              std::to_string(kv.sink_tokens) + " sink, " +
                              std::to_string(kv.window_tokens) + " window, " +
                              std::to_string(kv.seal_stride_tokens) + " stride tokens)");
  line("context", std::to_string(context_max) + " tokens; " + std::to_string(seqs_of_context) +
                      " such sequences at once");
  if (context_max < context_wanted) {
    line("note", "the context is cut from " + std::to_string(context_wanted) +
                     " tokens to what the KV budget holds; more: --kv-memory");
  }
  return text;
}

}  // namespace tq::engine
