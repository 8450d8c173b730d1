#include "engine/memory_plan.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <vector>

#include "engine/kv_needs.h"
#include "tests/support/seeded.h"

using namespace tq;
using namespace tq::engine;

namespace {

// SmolLM2-135M.
quant::BlockLayout layout_of(const KvConfig& kv) {
  auto layout = quant::BlockLayout::create({.n_layers = 30, .n_kv_heads = 3, .head_dim = 64},
                                           kv.formats, kv.block_tokens);
  REQUIRE(layout.ok());
  return *layout;
}

constexpr uint64_t kGiB = 1ull << 30;

uint64_t bytes_of(const MemoryPlan& plan, const quant::BlockLayout& layout) {
  return kernels::arena_bytes(layout, plan.pools);
}

// Of hot blocks in all layers: the least that can be added.
uint64_t slab_bytes(const quant::BlockLayout& layout) {
  return static_cast<uint64_t>(layout.slab_blocks()) * layout.hot_block_bytes();
}

// What a sequence holds, by simulating one token after the other with the rule alone.
struct Held {
  int32_t hot_peak = 0;
  int32_t sealed = 0;
};
Held naive_needs(const KvConfig& kv, int64_t length) {
  Held held;
  int64_t sealed_end = kv.sink_tokens;
  for (int64_t p = 0; p < length; ++p) {
    const int64_t hot = p / kv.block_tokens + 1 - (sealed_end - kv.sink_tokens) / kv.block_tokens;
    held.hot_peak = std::max(held.hot_peak, static_cast<int32_t>(hot));
    sealed_end = std::max(sealed_end, sealed_until(kv, p));  // released at this step's commit
    held.sealed = static_cast<int32_t>((sealed_end - kv.sink_tokens) / kv.block_tokens);
  }
  return held;
}

}  // namespace

TEST_CASE("what a sequence needs equals a token-by-token count") {
  const uint64_t seed = 4;
  INFO("seed " << seed);
  test::Seeded random(seed);
  for (int round = 0; round < 60; ++round) {
    KvConfig kv;
    kv.block_tokens = static_cast<int>(random.in(1, 3)) * 32;
    kv.sink_tokens = static_cast<int>(random.in(0, 2)) * kv.block_tokens;
    kv.window_tokens = static_cast<int>(random.in(0, 3)) * kv.block_tokens;
    kv.seal_stride_tokens = static_cast<int>(random.in(1, 9)) * 16;
    if (random.chance(0.2)) kv.formats = {KvFormat::kBf16, KvFormat::kBf16};
    const KvNeeds needs(kv);
    for (int i = 0; i < 20; ++i) {
      const int64_t length = random.in(0, 3000);
      const Held held = naive_needs(kv, length);
      INFO("block " << kv.block_tokens << " sink " << kv.sink_tokens << " window "
                    << kv.window_tokens << " stride " << kv.seal_stride_tokens << " length "
                    << length);
      REQUIRE(needs.hot_peak(length) == held.hot_peak);
      REQUIRE(needs.sealed(length) == held.sealed);
      const kernels::PoolSizes pools{held.hot_peak, held.sealed};
      REQUIRE(needs.length_max(pools, 3000) >= length);
    }
  }
}

TEST_CASE("a given budget is used and never passed") {
  for (const KvFormats formats :
       {KvFormats{}, KvFormats{KvFormat::kTq2, KvFormat::kTq2},
        KvFormats{KvFormat::kBf16, KvFormat::kTq4}, KvFormats{KvFormat::kBf16, KvFormat::kBf16}}) {
    EngineConfig config;
    config.kv.formats = formats;
    const auto layout = layout_of(config.kv);
    for (const uint64_t budget : {uint64_t{64} << 20, kGiB, 8 * kGiB}) {
      config.kv.budget_bytes = budget;
      const auto plan = plan_memory(
          layout, config,
          {.weight_bytes = kGiB / 4, .available_bytes = 16 * kGiB, .model_context_max = 8192});
      INFO(to_string(formats) << " budget " << budget);
      INFO((plan.ok() ? plan->describe() : plan.error().describe()));
      REQUIRE(plan.ok());
      CHECK(bytes_of(*plan, layout) <= budget);
      CHECK(bytes_of(*plan, layout) + slab_bytes(layout) > budget);  // less than a slab is left
      CHECK(plan->hot_bytes + plan->sealed_bytes == bytes_of(*plan, layout));
      CHECK(plan->context_max <= 8192);
      CHECK(plan->context_max == KvNeeds(config.kv).length_max(plan->pools, 8192));
    }
  }
}

TEST_CASE("without a budget, no more than is useful or than half of what is free") {
  EngineConfig config;
  const auto layout = layout_of(config.kv);
  const MemoryFacts facts{
      .weight_bytes = kGiB, .available_bytes = 100 * kGiB, .model_context_max = 2048};
  config.seqs_max = 4;
  const auto plan = plan_memory(layout, config, facts);
  REQUIRE(plan.ok());
  CHECK(plan->context_max == 2048);
  CHECK(plan->seqs_of_context >= 4);
  CHECK(bytes_of(*plan, layout) < kGiB);
  config.seqs_max = 4096;
  const auto large =
      plan_memory(layout, config,
                  {.weight_bytes = kGiB, .available_bytes = 5 * kGiB, .model_context_max = 8192});
  REQUIRE(large.ok());
  CHECK(bytes_of(*large, layout) <= 2 * kGiB);
  CHECK(bytes_of(*large, layout) > 2 * kGiB - 2 * slab_bytes(layout));
}

TEST_CASE("of a device all is taken but weights and activations") {
  EngineConfig config;
  const auto layout = layout_of(config.kv);
  config.seqs_max = 4096;
  MemoryFacts facts{.weight_bytes = kGiB,
                    .workspace_bytes = kGiB,
                    .available_bytes = 5 * kGiB,
                    .kv_share = 1.0,
                    .model_context_max = 8192};
  const auto plan = plan_memory(layout, config, facts);
  REQUIRE(plan.ok());
  CHECK(bytes_of(*plan, layout) <= 3 * kGiB);
  CHECK(bytes_of(*plan, layout) > 3 * kGiB - 2 * slab_bytes(layout));
  CHECK(plan->describe().find("activations") != std::string::npos);
  facts.available_bytes = 2 * kGiB;
  const auto none = plan_memory(layout, config, facts);
  REQUIRE(!none.ok());
  CHECK(none.error().where == "--model");
  CHECK(none.error().message.find("activations") != std::string::npos);
}

TEST_CASE("swap space beside a device has the ratio of its pools, and half of the host at most") {
  EngineConfig config;
  const auto layout = layout_of(config.kv);
  config.seqs_max = 4096;
  MemoryFacts facts{.weight_bytes = kGiB,
                    .available_bytes = 9 * kGiB,
                    .host_bytes = 64 * kGiB,
                    .kv_share = 1.0,
                    .model_context_max = 8192};
  const auto plan = plan_memory(layout, config, facts);
  REQUIRE(plan.ok());
  INFO(plan->describe());
  CHECK(plan->describe().find("swap space") != std::string::npos);
  CHECK(plan->swap_bytes == kernels::arena_bytes(layout, plan->host_pools));
  CHECK(plan->swap_bytes <= 4 * kGiB);
  CHECK(plan->swap_bytes > 4 * kGiB - 2 * slab_bytes(layout));
  CHECK(std::abs(plan->host_pools.hot_blocks - plan->pools.hot_blocks / 2) <= 16);
  CHECK(std::abs(plan->host_pools.sealed_blocks - plan->pools.sealed_blocks / 2) <= 16);

  facts.host_bytes = 2 * kGiB;
  const auto small = plan_memory(layout, config, facts);
  REQUIRE(small.ok());
  CHECK(small->swap_bytes <= kGiB);
  CHECK(small->swap_bytes > kGiB - 2 * slab_bytes(layout));

  config.swap_bytes = 100;
  const auto none = plan_memory(layout, config, facts);
  REQUIRE(!none.ok());
  CHECK(none.error().where == "--swap-space");
  config.swap_bytes = 0;
  CHECK(plan_memory(layout, config, facts)->swap_bytes == 0);

  config.swap_bytes = 4 * kGiB;
  facts.host_bytes = 0;  // all memory is the host's: nothing changes
  const auto on_cpu = plan_memory(layout, config, facts);
  REQUIRE(on_cpu.ok());
  CHECK(on_cpu->host_pools.hot_blocks + on_cpu->host_pools.sealed_blocks == 0);
  CHECK(on_cpu->describe().find("swap") == std::string::npos);
}

TEST_CASE("where memory is plenty, all sequences of the whole context fit at once") {
  EngineConfig config;
  const auto layout = layout_of(config.kv);
  for (const int seqs_max : {1, 8, 64}) {
    for (const int64_t context : {100, 820, 8192}) {  // mostly hot, both, mostly sealed
      config.seqs_max = seqs_max;
      config.context_max = context;
      const auto plan = plan_memory(
          layout, config,
          {.weight_bytes = kGiB, .available_bytes = 100 * kGiB, .model_context_max = 8192});
      REQUIRE(plan.ok());
      INFO(plan->describe());
      CHECK(plan->seqs_of_context >= seqs_max);
    }
  }
}

TEST_CASE("the text tells bytes per token, the ratio, tokens and sequences") {
  EngineConfig config;
  config.kv.budget_bytes = kGiB;
  const auto layout = layout_of(config.kv);
  const auto plan = plan_memory(
      layout, config,
      {.weight_bytes = kGiB / 4, .available_bytes = 8 * kGiB, .model_context_max = 8192});
  REQUIRE(plan.ok());
  const std::string text = plan->describe();
  INFO(text);
  // 30 layers x 3 heads x 2 x 64 values x 16 bit; tq4 has 4-bit codes, a byte for 16 of a key's and
  // one for 64 of a value's, and exponents: 4.316 / 16.
  CHECK(text.find("23040 bytes per token") != std::string::npos);
  CHECK(text.find("6216 bytes per token (tq4, 0.2698 of bf16)") != std::string::npos);
  CHECK(plan->ratio() <= 0.27);
  CHECK(text.find("8192 tokens; ") != std::string::npos);
  CHECK(text.find("note") == std::string::npos);
}

TEST_CASE(
    "too small a budget is an error that names the flag and the least, and the least is enough") {
  EngineConfig config;
  config.kv.budget_bytes = 1 << 20;
  const auto layout = layout_of(config.kv);
  const MemoryFacts facts{
      .weight_bytes = 0, .available_bytes = 8 * kGiB, .model_context_max = 8192};
  const auto plan = plan_memory(layout, config, facts);
  REQUIRE_FALSE(plan.ok());
  CHECK(plan.error().where == "--kv-memory");
  const std::string& message = plan.error().message;
  const size_t at = message.find(" (") + 2;
  const uint64_t least = std::stoull(message.substr(at));
  config.kv.budget_bytes = least;
  const auto enough = plan_memory(layout, config, facts);
  INFO((enough.ok() ? enough->describe() : enough.error().describe()));
  REQUIRE(enough.ok());
  CHECK(enough->context_max > config.kv.sink_tokens + config.kv.window_tokens);
  CHECK(enough->describe().find("note") !=
        std::string::npos);  // the context is cut, and it says so
  config.kv.budget_bytes = least - 1;
  CHECK_FALSE(plan_memory(layout, config, facts).ok());
}

TEST_CASE("contradictions are errors that name the setting") {
  EngineConfig config;
  const auto layout = layout_of(config.kv);
  const auto where = [&](const EngineConfig& c, const MemoryFacts& facts) {
    const auto plan = plan_memory(layout, c, facts);
    return plan.ok() ? std::string("ok") : plan.error().where;
  };
  MemoryFacts facts{.weight_bytes = kGiB, .available_bytes = 2 * kGiB, .model_context_max = 8192};
  CHECK(where(config, facts) == "ok");
  EngineConfig long_context = config;
  long_context.context_max = 10'000;
  CHECK(where(long_context, facts) == "--context");
  EngineConfig greedy = config;
  greedy.kv.budget_bytes = 2 * kGiB;
  CHECK(where(greedy, facts) == "--kv-memory");
  facts.available_bytes = kGiB;
  CHECK(where(config, facts) == "--model");
  facts.available_bytes = 0;  // unknown: the budget must be given, and is then believed
  CHECK(where(config, facts) == "--kv-memory");
  CHECK(where(greedy, facts) == "ok");
}
