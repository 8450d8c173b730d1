// Preempted sequences whose blocks the host keeps meanwhile: what is copied, what is not, and that
// nobody's tokens can tell.

#include <algorithm>
#include <catch2/catch.hpp>
#include <functional>
#include <memory>
#include <vector>

#include "tests/engine/scheduler_bench.h"
#include "tests/engine/simulation.h"

using namespace tq;
using namespace tq::engine;
using Bench = test::SchedulerBench;
using test::kA, test::kB, test::kC, test::oracle, test::prompt, test::SimulationOptions;

namespace {

// Blocks of 32, sealed as soon as a stride of 32 allows. Six hot blocks and twelve sealed ones.
SchedulerOptions small(KvFormats formats) {
  SchedulerOptions options = test::roomy();
  options.kv = {.formats = formats,
                .block_tokens = 32,
                .sink_tokens = 32,
                .window_tokens = 32,
                .seal_stride_tokens = 32};
  options.pools = {.hot_blocks = 8, .sealed_blocks = formats.sealed_is_hot() ? 0 : 12};
  options.host_pools = {.hot_blocks = 8, .sealed_blocks = 12};
  options.context_max = 400;
  return options;
}

SchedulerOptions plain() {
  SchedulerOptions options = small({KvFormat::kBf16, KvFormat::kBf16});
  options.kv.prefix_cache = false;
  options.context_max = 256;
  return options;
}

// Runs until `id` is preempted; returns its computed tokens before that.
int64_t run_to_preemption(Bench& bench, SeqId id) {
  for (int i = 0; i < 1000; ++i) {
    const int64_t n = bench.scheduler.find(id)->n_computed;
    bench.step();
    if (bench.scheduler.find(id)->hot_blocks.empty()) return n;
  }
  FAIL("was never preempted");
  return 0;
}

int32_t host_used(const Bench& bench) {
  return bench.scheduler.host_pool().used(Pool::kHot) +
         bench.scheduler.host_pool().used(Pool::kSealed);
}

}  // namespace

TEST_CASE("a preempted sequence goes on where it was, from the host's copy") {
  Bench bench(plain());
  REQUIRE(bench.scheduler.submit(kA, prompt(60), 0).ok());
  REQUIRE(bench.scheduler.submit(kB, prompt(50, 300), 0).ok());
  const int64_t n_before = run_to_preemption(bench, kB);
  const auto n_blocks = static_cast<size_t>((n_before + 31) / 32);
  CHECK(bench.n_out == n_blocks);
  CHECK(host_used(bench) == static_cast<int32_t>(n_blocks));
  bench.step();
  CHECK(bench.n_out == 0);
  bench.scheduler.remove(kA);
  CHECK(bench.step() == std::vector<Bench::Item>{{kB, static_cast<int32_t>(n_before), 1, true}});
  CHECK(bench.n_in == n_blocks);
  CHECK(host_used(bench) == 0);
  CHECK(bench.scheduler.n_swapped_out() == n_blocks);
  CHECK(bench.scheduler.n_swapped_in() == n_blocks);
  CHECK(bench.run_to(kB, 200) == oracle(prompt(50, 300), 200));
}

TEST_CASE("without room on the host a preempted sequence is recomputed") {
  SchedulerOptions options = plain();
  options.host_pools.hot_blocks = 2;
  Bench bench(options);
  REQUIRE(bench.scheduler.submit(kA, prompt(60), 0).ok());
  REQUIRE(bench.scheduler.submit(kB, prompt(50, 300), 0).ok());
  REQUIRE(run_to_preemption(bench, kB) > 64);
  CHECK(bench.n_out == 0);
  CHECK(host_used(bench) == 0);
  bench.scheduler.remove(kA);
  CHECK(bench.step().front().first == 0);
  CHECK(bench.n_in == 0);
  CHECK(bench.run_to(kB, 200) == oracle(prompt(50, 300), 200));
}

TEST_CASE("a sequence that is removed while the host keeps its blocks gives them back") {
  Bench bench(plain());
  REQUIRE(bench.scheduler.submit(kA, prompt(60), 0).ok());
  REQUIRE(bench.scheduler.submit(kB, prompt(50, 300), 0).ok());
  run_to_preemption(bench, kB);
  REQUIRE(host_used(bench) > 0);
  SECTION("between steps") {
    bench.scheduler.remove(kB);
    CHECK(host_used(bench) == 0);
    CHECK(bench.scheduler.find(kB) == nullptr);
    CHECK(bench.run_to(kA, 250) == oracle(prompt(60), 250));
  }
  SECTION("while the step that brings them back is in flight") {
    bench.scheduler.remove(kA);
    const StepPlan& plan = bench.scheduler.schedule();
    REQUIRE(plan.swaps_in.size() > 0);
    bench.scheduler.remove(kB);
    REQUIRE(bench.runner.run(plan, [] {}).ok());
    bench.scheduler.commit(std::vector<TokenId>{1});
    CHECK(bench.scheduler.find(kB) == nullptr);
    CHECK(host_used(bench) == 0);
    CHECK(bench.scheduler.pool().used(Pool::kHot) == 0);
  }
  CHECK(bench.scheduler.check_invariants().ok());
}

TEST_CASE("what a failed step was to copy out is recomputed") {
  const auto make = [] {
    auto bench = std::make_unique<Bench>(plain());
    REQUIRE(bench->scheduler.submit(kA, prompt(60), 0).ok());
    REQUIRE(bench->scheduler.submit(kB, prompt(50, 300), 0).ok());
    return bench;
  };
  const auto first = make();
  int n_steps = 0;
  for (; first->n_out == 0; ++n_steps) first->step();
  const auto bench = make();
  for (int i = 0; i + 1 < n_steps; ++i) bench->step();
  REQUIRE(!bench->scheduler.schedule().swaps_out.empty());
  REQUIRE(host_used(*bench) > 0);
  bench->scheduler.abandon();  // the sequence that goes on, kA, ends with it
  CHECK(host_used(*bench) == 0);
  CHECK(bench->scheduler.check_invariants().ok());
  CHECK(bench->step().front().first == 0);
  CHECK(bench->run_to(kB, 200) == oracle(prompt(50, 300), 200));
}

TEST_CASE("blocks that another sequence still holds are not copied back") {
  SchedulerOptions options = plain();
  options.kv.prefix_cache = true;
  options.pools.hot_blocks = 9;
  Bench bench(options);
  REQUIRE(bench.scheduler.submit(kA, prompt(70), 0).ok());
  bench.step();
  bench.step();
  std::vector<TokenId> longer = prompt(64);  // two blocks of kA's
  longer.insert(longer.end(), {900, 901, 902});
  REQUIRE(bench.scheduler.submit(kC, prompt(40, 500), 0).ok());
  REQUIRE(bench.scheduler.submit(kB, longer, 1).ok());  // the worst rank
  bench.step();
  REQUIRE(bench.scheduler.find(kB)->hot_blocks.size() > 2);
  CHECK(bench.scheduler.find(kB)->hot_blocks[1] == bench.scheduler.find(kA)->hot_blocks[1]);
  run_to_preemption(bench, kB);
  const size_t n_out = bench.n_out;
  REQUIRE(n_out > 2);
  for (int i = 0; i < 20; ++i) bench.step();
  bench.scheduler.remove(kC);
  bench.step();
  CHECK(bench.n_in > 0);
  CHECK(bench.n_in <= n_out - 2);
  CHECK(bench.scheduler.find(kB)->hot_blocks[1] == bench.scheduler.find(kA)->hot_blocks[1]);
  CHECK(bench.run_to(kB, 150) == oracle(longer, 150));
}

TEST_CASE("a parked sequence that cannot return yet evicts nothing") {
  constexpr SeqId kD{4};
  SchedulerOptions options = plain();
  options.kv.prefix_cache = true;
  options.pools.hot_blocks = 16;
  Bench bench(options);
  REQUIRE(bench.scheduler.submit(kA, prompt(150), 0).ok());
  REQUIRE(bench.scheduler.submit(kC, prompt(40, 600), 0).ok());
  bench.run_to(kC, 41);
  REQUIRE(bench.scheduler.submit(kB, prompt(190, 300), 1).ok());
  run_to_preemption(bench, kB);
  bench.scheduler.remove(kC);
  REQUIRE(bench.scheduler.submit(kD, prompt(33, 800), 0).ok());
  bench.step();
  // All that kB had could come back, but not beside what kA, kB and kD will need next.
  const BlockPool& pool = bench.scheduler.pool();
  REQUIRE(bench.scheduler.n_running() == 2);
  REQUIRE(std::ssize(bench.scheduler.find(kB)->parked.hot) <= pool.available(Pool::kHot));
  REQUIRE(pool.find(kNoEntry, prompt(32, 600)) != kNoEntry);  // of kC
  for (int i = 0; i < 10; ++i) bench.step();
  REQUIRE(bench.scheduler.n_running() == 2);
  CHECK(pool.find(kNoEntry, prompt(32, 600)) != kNoEntry);
}

TEST_CASE("sealed blocks leave and return, and are found by their prefix again") {
  SchedulerOptions options = small({});
  options.kv.prefix_cache = GENERATE(false, true);
  Bench bench(options);
  REQUIRE(bench.scheduler.submit(kA, prompt(200), 0).ok());
  REQUIRE(bench.scheduler.submit(kB, prompt(90, 300), 1).ok());
  const int64_t n_before = run_to_preemption(bench, kB);
  REQUIRE(bench.scheduler.find(kB)->parked.sealed.size() >= 1);
  const auto known = bench.scheduler.find(kB)->tokens;
  bench.run_to(kA, 380);  // takes nearly all blocks
  bench.scheduler.remove(kA);
  CHECK(bench.step().front().first == n_before);
  CHECK(bench.n_in > 1);
  CHECK(bench.run_to(kB, 250) == oracle(prompt(90, 300), 250));
  if (!options.kv.prefix_cache) return;
  REQUIRE(bench.scheduler.submit(kC, known, 0).ok());
  bench.scheduler.remove(kB);
  CHECK(bench.step().front().first == static_cast<int32_t>((known.size() - 1) / 32 * 32));
}

// A prompt of better rank takes blocks after those that decode are planned: with one of these pools
// just when its victim has taken a new block, and has blocks to seal.
TEST_CASE("a victim that is planned already leaves what it had computed, no more") {
  uint64_t n_out = 0;
  for (const KvFormats formats : {KvFormats{KvFormat::kBf16, KvFormat::kBf16}, KvFormats{}}) {
    for (const int n_prompt : {40, 62, 63}) {  // 63: both cross into a new block in the same steps
      for (int32_t n = 7; n <= 12; ++n) {
        SchedulerOptions options = small(formats);
        options.kv.prefix_cache = n % 2 == 0;
        options.pools = formats.sealed_is_hot()
                            ? kernels::PoolSizes{.hot_blocks = n, .sealed_blocks = 0}
                            : kernels::PoolSizes{.hot_blocks = 20, .sealed_blocks = n - 5};
        options.step_tokens_max = 2;
        options.context_max = 220;
        Bench bench(options);
        INFO("prompt of " << n_prompt << ", " << n << ", " << to_string(formats));
        REQUIRE(bench.scheduler.submit(kB, prompt(n_prompt, 300), 1).ok());
        bench.run_to(kB, static_cast<size_t>(n_prompt) + 2);
        REQUIRE(bench.scheduler.submit(kA, prompt(110), 0).ok());
        bench.step();
        if (bench.scheduler.n_running() == 2) {
          CHECK(bench.run_to(kA, 120) == oracle(prompt(110), 120));
        }
        bench.scheduler.remove(kA);
        const auto tokens = bench.run_to(kB, 200);
        CHECK(tokens == oracle(prompt(n_prompt, 300), tokens.size()));
        n_out += bench.scheduler.n_swapped_out();
      }
    }
  }
  CHECK(n_out > 20);
}

// ---- Random load.

namespace {

// Many sequences that outgrow the pools; some of them cannot be told apart at first.
SimulationOptions crowded(uint64_t seed, KvFormats formats, bool prefix_cache) {
  SimulationOptions options;
  options.seed = seed;
  options.scheduler = small(formats);
  options.scheduler.kv.prefix_cache = prefix_cache;
  options.scheduler.kv.sink_tokens = seed % 2 == 0 ? 0 : 32;
  options.scheduler.pools = formats.sealed_is_hot()
                                ? kernels::PoolSizes{.hot_blocks = 9, .sealed_blocks = 0}
                                : kernels::PoolSizes{.hot_blocks = 16, .sealed_blocks = 9};
  options.scheduler.seqs_max = 6;
  options.scheduler.context_max = 260;
  options.jobs = 40;
  options.prompt_max = 60;
  options.output_max = 180;
  options.arrival_chance = 0.5;
  return options;
}

constexpr KvFormats kPlain{KvFormat::kBf16, KvFormat::kBf16};

}  // namespace

TEST_CASE("random preemptions with a host of any size give the tokens of unlimited memory") {
  test::SimulationReport sum;
  uint64_t never_back = 0;  // blocks that the index still had, or whose sequence ended
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    for (const KvFormats formats : {kPlain, KvFormats{}}) {
      SimulationOptions options = crowded(seed, formats, /*prefix_cache=*/seed % 4 < 2);
      const int32_t n_host = seed % 3 == 0 ? 4 : seed % 3 == 1 ? 12 : 64;
      options.scheduler.host_pools = {.hot_blocks = n_host, .sealed_blocks = n_host};
      options.cancel_chance = seed % 5 == 0 ? 0.0 : 0.02;
      options.failure_chance = seed % 5 == 1 ? 0.01 : 0.0;
      options.bad_row_chance = seed % 5 == 2 ? 0.005 : 0.0;
      const auto report = simulate(options);
      INFO("seed " << seed << ", format " << to_string(formats));
      for (const auto& fault : report.faults) UNSCOPED_INFO(fault);
      REQUIRE(report.faults.empty());
      never_back += report.swapped_out - report.swapped_in;
      sum.steps += report.steps;
      sum.preemptions += report.preemptions;
      sum.swapped_out += report.swapped_out;
      sum.swapped_in += report.swapped_in;
      sum.cancelled_parked += report.cancelled_parked;
      sum.failed += report.failed;
    }
  }
  WARN(sum.steps << " steps, " << sum.preemptions << " preemptions, " << sum.swapped_out
                 << " blocks swapped out, " << sum.swapped_in << " in, " << sum.cancelled_parked
                 << " cancelled while parked, " << sum.failed << " failed");
  CHECK(sum.preemptions > 1000);
  CHECK(sum.swapped_in > 2000);
  CHECK(never_back > 200);
  CHECK(sum.cancelled_parked > 20);
}

TEST_CASE("with room for all on the host no token is computed twice") {
  for (const bool has_host : {false, true}) {
    int64_t computed = 0, known = 0;
    uint64_t preemptions = 0;
    for (uint64_t seed = 1; seed <= 10; ++seed) {
      SimulationOptions options = crowded(seed, kPlain, /*prefix_cache=*/false);
      if (has_host) options.scheduler.host_pools = {.hot_blocks = 200, .sealed_blocks = 200};
      options.cancel_chance = 0.0;
      const auto report = simulate(options);
      REQUIRE(report.faults.empty());
      computed += report.computed;
      known += report.known;
      preemptions += report.preemptions;
    }
    REQUIRE(preemptions > 50);
    CHECK((computed == known) == has_host);
  }
}

TEST_CASE("planted bugs in swaps are seen") {
  const auto is_seen = [](const std::function<void(StepPlan&)>& sabotage) {
    for (uint64_t seed = 1; seed <= 5; ++seed) {
      SimulationOptions options = crowded(seed, {}, /*prefix_cache=*/false);
      options.scheduler.host_pools = {.hot_blocks = 64, .sealed_blocks = 64};
      options.sabotage = sabotage;
      if (!simulate(options).faults.empty()) return true;
    }
    return false;
  };
  CHECK_FALSE(is_seen({}));
  CHECK(is_seen([](StepPlan& plan) { plan.swaps_out.hot.clear(); }));
  CHECK(is_seen([](StepPlan& plan) { plan.swaps_out.sealed.clear(); }));
  CHECK(is_seen([](StepPlan& plan) { plan.swaps_in.hot.clear(); }));
  CHECK(is_seen([](StepPlan& plan) { plan.swaps_in.sealed.clear(); }));
  CHECK(is_seen([](StepPlan& plan) {
    if (plan.swaps_in.hot.size() > 1) plan.swaps_in.hot[0].from = plan.swaps_in.hot[1].from;
  }));
  CHECK(is_seen([](StepPlan& plan) {
    if (plan.swaps_out.sealed.size() > 1) {
      std::swap(plan.swaps_out.sealed[0].from, plan.swaps_out.sealed[1].from);
    }
  }));
}
