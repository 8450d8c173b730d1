// The scheduler under load that no person would think of, against the oracle of each sequence
// alone.

#include "tests/engine/simulation.h"

#include <catch2/catch.hpp>
#include <functional>
#include <memory>
#include <vector>

#include "engine/kv_needs.h"

using namespace tq;
using tq::test::simulate;
using tq::test::SimulationOptions;
using tq::test::SimulationReport;

namespace tq::engine {

// Plants bugs in a scheduler's pool.
struct SchedulerTestPeer {
  static BlockPool& pool(Scheduler& scheduler) { return scheduler.pool_; }
  static std::vector<Sequence*>& running(Scheduler& scheduler) { return scheduler.running_; }
};

}  // namespace tq::engine

namespace {

// A random but valid configuration: odd block counts, strides that are and are not multiples of
// blocks.
SimulationOptions random_options(uint64_t seed) {
  test::Seeded random(seed * 7919);
  SimulationOptions options;
  options.seed = seed;
  KvConfig kv;
  // The block layout takes multiples of 32 tokens; the stride may be shorter or longer than a
  // block.
  kv.block_tokens = 32;
  kv.sink_tokens = static_cast<int>(random.in(0, 2)) * kv.block_tokens;
  kv.window_tokens = static_cast<int>(random.in(0, 3)) * kv.block_tokens;
  const int strides[] = {16, 32, 48, 64, 96, 128};
  kv.seal_stride_tokens = strides[random.in(0, 5)];
  kv.prefix_cache = !random.chance(0.2);

  // Half of the runs have outputs much longer than prompts: what they will need cannot be known
  // when they are admitted, so the pools run out.
  const bool grows = random.chance(0.5);
  if (random.chance(grows ? 0.5 : 0.1)) kv.formats = {KvFormat::kBf16, KvFormat::kBf16};
  options.prompt_max = grows ? random.in(2, 40) : random.in(20, 400);
  options.output_max = grows ? random.in(100, 600) : random.in(1, 200);
  const int64_t context = options.prompt_max + random.in(1, options.output_max + 20);
  const engine::KvNeeds needs(kv);
  // From what holds one sequence to what holds several.
  const auto grow = [&](int32_t least) {
    return static_cast<int32_t>(least + random.in(0, grows ? least / 4 : 3 * least + 2));
  };
  options.scheduler = {.kv = kv,
                       .pools = {.hot_blocks = grow(needs.hot_peak(context)),
                                 .sealed_blocks = grow(needs.sealed(context))},
                       .seqs_max = static_cast<int>(random.in(grows ? 4 : 1, 12)),
                       .step_tokens_max = static_cast<int>(random.in(grows ? 8 : 1, 200)),
                       .context_max = context};
  if (random.chance(0.2)) {  // pools that cannot hold the context: it is cut
    options.scheduler.pools.hot_blocks = std::max(2, needs.hot_peak(context) / 2);
    options.scheduler.pools.sealed_blocks /= 2;
  }
  if (random.chance(0.6)) {  // from room for a block to room for all that is ever preempted
    const auto some = [&](int32_t n) { return static_cast<int32_t>(random.in(1, 3 * n + 1)); };
    options.scheduler.host_pools = {.hot_blocks = some(options.scheduler.pools.hot_blocks),
                                    .sealed_blocks = some(options.scheduler.pools.sealed_blocks)};
  }
  options.arrival_chance = (grows ? 0.5 : 0.0) + random.unit() * 0.4;
  options.cancel_chance = random.chance(0.5) ? 0.0 : random.unit() * 0.05;
  options.failure_chance = random.chance(0.7) ? 0.0 : random.unit() * 0.01;
  options.bad_row_chance = random.chance(0.7) ? 0.0 : random.unit() * 0.01;
  return options;
}

void add(SimulationReport& sum, const SimulationReport& part) {
  sum.steps += part.steps;
  sum.completed += part.completed;
  sum.cancelled += part.cancelled;
  sum.failed += part.failed;
  sum.tokens += part.tokens;
  sum.preemptions += part.preemptions;
  sum.swapped_out += part.swapped_out;
  sum.swapped_in += part.swapped_in;
  sum.cancelled_parked += part.cancelled_parked;
  sum.prefix_hits += part.prefix_hits;
  sum.seals += part.seals;
}

}  // namespace

TEST_CASE("every output equals the unbatched oracle over 3 x 10^5 steps") {
  SimulationReport sum;
  uint64_t seed = 1;
  for (; sum.steps < 300'000; ++seed) {
    const SimulationReport report = simulate(random_options(seed));
    INFO("seed " << seed);
    for (const auto& fault : report.faults) UNSCOPED_INFO(fault);
    REQUIRE(report.faults.empty());
    add(sum, report);
  }
  WARN("seeds 1.." << seed - 1 << ": " << sum.steps << " steps, " << sum.tokens << " tokens, "
                   << sum.completed << " completed, " << sum.cancelled << " cancelled, "
                   << sum.failed << " failed, " << sum.preemptions << " preemptions, "
                   << sum.swapped_out << " blocks swapped out, " << sum.swapped_in << " in, "
                   << sum.cancelled_parked << " cancelled while parked, " << sum.prefix_hits
                   << " prefix tokens reused, " << sum.seals << " seals");
  // The stream must have visited what it is there for.
  CHECK(sum.completed > 1000);
  CHECK(sum.cancelled > 50);
  CHECK(sum.failed > 50);
  CHECK(sum.preemptions > 200);
  CHECK(sum.swapped_out > 500);
  CHECK(sum.swapped_in > 100);
  CHECK(sum.prefix_hits > 10'000);
  CHECK(sum.seals > 1000);
}

namespace {

// Many short sequences that all outgrow pools of six blocks.
SimulationOptions crowded_options(uint64_t seed, KvFormats formats) {
  SimulationOptions options;
  options.seed = seed;
  options.scheduler.kv = {.formats = formats,
                          .block_tokens = 32,
                          .sink_tokens = 0,
                          .window_tokens = 0,
                          .seal_stride_tokens = 32};
  const bool seals = !formats.sealed_is_hot();
  options.scheduler.pools = {.hot_blocks = seals ? 12 : 6, .sealed_blocks = seals ? 6 : 0};
  options.scheduler.seqs_max = 6;
  options.scheduler.step_tokens_max = 64;
  options.scheduler.context_max = 160;
  options.jobs = 100;
  options.prompt_max = 30;
  options.output_max = 120;
  options.arrival_chance = 0.5;
  options.cancel_chance = 0.002;
  return options;
}

}  // namespace

TEST_CASE("pools that are far too small: preempted again and again, every output still right") {
  SimulationReport sum;
  for (uint64_t seed = 1; seed <= 30; ++seed) {
    for (const KvFormats formats : {KvFormats{KvFormat::kBf16, KvFormat::kBf16}, KvFormats{}}) {
      const SimulationReport report = simulate(crowded_options(seed, formats));
      INFO("seed " << seed << ", format " << to_string(formats));
      for (const auto& fault : report.faults) UNSCOPED_INFO(fault);
      REQUIRE(report.faults.empty());
      add(sum, report);
    }
  }
  WARN(sum.steps << " steps, " << sum.completed << " completed, " << sum.preemptions
                 << " preemptions, " << sum.prefix_hits << " prefix tokens reused, " << sum.seals
                 << " seals");
  CHECK(sum.preemptions > 500);
}

// Each planted bug must be seen: the checks above can fail.
namespace {

using Sabotage = std::function<void(engine::StepPlan&)>;

SimulationOptions victim_options(uint64_t seed) {
  SimulationOptions options;
  options.seed = seed;
  options.scheduler.kv = {
      .formats = {}, .sink_tokens = 32, .window_tokens = 32, .seal_stride_tokens = 64};
  options.scheduler.pools = {.hot_blocks = 40, .sealed_blocks = 40};
  options.scheduler.seqs_max = 6;
  options.scheduler.step_tokens_max = 64;
  options.scheduler.context_max = 400;
  options.prompt_max = 200;
  options.output_max = 100;
  return options;
}

// The first item that `picks` accepts is changed by `changes`, with arrays that outlive the step.
struct Changed {
  std::vector<BlockId> hot;
  std::vector<int32_t> hot_first;
  std::vector<BlockId> sealed;
};
template <class Picks, class Changes>
Sabotage change_item(Picks picks, Changes changes) {
  auto arrays = std::make_shared<Changed>();
  return [=](engine::StepPlan& plan) {
    for (auto& item : plan.items) {
      if (!picks(item)) continue;
      arrays->hot.assign(item.hot_blocks.begin(), item.hot_blocks.end());
      arrays->hot_first.assign(item.hot_first.begin(), item.hot_first.end());
      arrays->sealed.assign(item.sealed_blocks.begin(), item.sealed_blocks.end());
      changes(*arrays);
      item.hot_blocks = arrays->hot;
      item.hot_first = arrays->hot_first;
      item.sealed_blocks = arrays->sealed;
      return;
    }
  };
}

bool is_seen(const Sabotage& sabotage, const std::function<void(engine::Scheduler&)>& meddle = {}) {
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    SimulationOptions options = victim_options(seed);
    options.sabotage = sabotage;
    options.meddle = meddle;
    if (!simulate(options).faults.empty()) return true;
  }
  return false;
}

}  // namespace

TEST_CASE("without a planted bug the victim is sound") { CHECK_FALSE(is_seen({})); }

TEST_CASE("planted bugs in the plan are seen") {
  const auto long_enough = [](const engine::StepItem& item) {
    return item.hot_blocks.size() >= 3 && item.sealed_blocks.size() >= 2;
  };
  SECTION("two hot blocks swapped") {
    CHECK(is_seen(change_item(long_enough, [](Changed& c) { std::swap(c.hot[0], c.hot[1]); })));
  }
  SECTION("two sealed blocks swapped") {
    CHECK(
        is_seen(change_item(long_enough, [](Changed& c) { std::swap(c.sealed[0], c.sealed[1]); })));
  }
  SECTION("a sealed block left out") {
    CHECK(is_seen(change_item(long_enough, [](Changed& c) { c.sealed.pop_back(); })));
  }
  SECTION("a hot block shown twice") {
    CHECK(is_seen(change_item(long_enough, [](Changed& c) { c.hot[1] = c.hot[0]; })));
  }
  SECTION("a seal forgotten") {
    CHECK(is_seen([](engine::StepPlan& plan) {
      if (!plan.seals.empty()) plan.seals.pop_back();
    }));
  }
  SECTION("a seal from the wrong block") {
    CHECK(is_seen([](engine::StepPlan& plan) {
      if (plan.seals.size() >= 2) plan.seals[0].hot = plan.seals[1].hot;
    }));
  }
  SECTION("one item writes into another's block") {
    auto arrays = std::make_shared<std::vector<BlockId>>();
    CHECK(is_seen([arrays](engine::StepPlan& plan) {
      if (plan.items.size() < 2) return;
      arrays->assign(plan.items[1].hot_blocks.begin(), plan.items[1].hot_blocks.end());
      arrays->back() = plan.items[0].hot_blocks.back();
      plan.items[1].hot_blocks = *arrays;
    }));
  }
}

TEST_CASE("planted bugs in the pool are seen") {
  SECTION("a block released while its sequence still uses it") {
    CHECK(is_seen({}, [](engine::Scheduler& scheduler) {
      auto& running = engine::SchedulerTestPeer::running(scheduler);
      if (running.size() < 2) return;
      const BlockId block = running.back()->hot_blocks.back();
      auto& pool = engine::SchedulerTestPeer::pool(scheduler);
      if (pool.refs(engine::Pool::kHot, block) == 1) pool.unref(engine::Pool::kHot, block);
    }));
  }
  SECTION("a reference that nobody gives back") {
    CHECK(is_seen({}, [](engine::Scheduler& scheduler) {
      auto& running = engine::SchedulerTestPeer::running(scheduler);
      if (running.empty()) return;
      engine::SchedulerTestPeer::pool(scheduler).ref(engine::Pool::kHot,
                                                     running.front()->hot_blocks.front());
    }));
  }
  SECTION("a sequence that holds another's block") {
    CHECK(is_seen({}, [](engine::Scheduler& scheduler) {
      auto& running = engine::SchedulerTestPeer::running(scheduler);
      if (running.size() < 2) return;
      auto& pool = engine::SchedulerTestPeer::pool(scheduler);
      BlockId& mine = running[0]->hot_blocks.back();
      const BlockId theirs = running[1]->hot_blocks.back();
      if (mine == theirs) return;
      pool.ref(engine::Pool::kHot, theirs);
      pool.unref(engine::Pool::kHot, mine);
      mine = theirs;
    }));
  }
}
