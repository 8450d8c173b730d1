#pragma once
// SchedulerBench: a scheduler and a fake runner, step by step, for single cases. One thread.

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdint>
#include <numeric>
#include <vector>

#include "engine/scheduler.h"
#include "tests/support/fake_runner.h"

namespace tq::test {

inline constexpr int kVocab = 1000;

struct SchedulerBench {
  explicit SchedulerBench(engine::SchedulerOptions scheduler_options)
      : options(scheduler_options),
        scheduler(options),
        runner({.kv = options.kv,
                .pools = options.pools,
                .host_pools = options.host_pools,
                .vocab_size = kVocab}) {}

  // Schedules, runs with all checks, commits. Returns the items, without their spans.
  struct Item {
    SeqId seq{};
    int32_t first = 0;
    int32_t n = 0;
    bool sample = false;
    bool operator==(const Item&) const = default;
  };
  std::vector<Item> step() {
    const engine::StepPlan& plan = scheduler.schedule();
    std::vector<Item> items;
    n_seals = std::ssize(plan.seals);
    n_out = plan.swaps_out.size();
    n_in = plan.swaps_in.size();
    for (const auto& item : plan.items) {
      items.push_back(
          {item.seq, item.first, static_cast<int32_t>(item.tokens.size()), item.sample});
    }
    if (plan.empty()) return items;
    const auto logits = runner.run(plan, [] {});
    INFO((logits.ok() ? "" : logits.error().describe()));
    REQUIRE(logits.ok());
    std::vector<TokenId> tokens;
    for (size_t row = 0; row * kVocab < logits->values.size(); ++row) {
      const auto values = logits->values.subspan(row * kVocab, kVocab);
      tokens.push_back(static_cast<TokenId>(std::ranges::max_element(values) - values.begin()));
    }
    scheduler.commit(tokens);
    const auto sound = scheduler.check_invariants();
    INFO((sound.ok() ? "" : sound.error().describe()));
    REQUIRE(sound.ok());
    return items;
  }

  // Until the sequence has n tokens; returns them.
  std::vector<TokenId> run_to(SeqId id, size_t n) {
    for (int i = 0; i < 10'000 && scheduler.find(id)->tokens.size() < n; ++i) step();
    return scheduler.find(id)->tokens;
  }

  engine::SchedulerOptions options;
  engine::Scheduler scheduler;
  FakeRunner runner;
  int64_t n_seals = 0;
  size_t n_out = 0;  // blocks that the last step swapped
  size_t n_in = 0;
};

inline engine::SchedulerOptions roomy() {
  return {.kv = {},
          .pools = {.hot_blocks = 100, .sealed_blocks = 100},
          .seqs_max = 8,
          .step_tokens_max = 64,
          .context_max = 2000};
}

inline std::vector<TokenId> prompt(int n, TokenId salt = 0) {
  std::vector<TokenId> tokens(static_cast<size_t>(n));
  std::iota(tokens.begin(), tokens.end(), salt);
  for (TokenId& t : tokens) t %= kVocab;
  return tokens;
}

inline std::vector<TokenId> oracle(std::vector<TokenId> tokens, size_t n) {
  while (tokens.size() < n) tokens.push_back(fake_next(chain_of(tokens), kVocab));
  return tokens;
}

inline constexpr SeqId kA{1};
inline constexpr SeqId kB{2};
inline constexpr SeqId kC{3};

}  // namespace tq::test
