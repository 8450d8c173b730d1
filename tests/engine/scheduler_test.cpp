// Single cases of the scheduler, each with what it must do and why. The simulation finds the rest.

#include "tests/engine/scheduler_bench.h"

using namespace tq;
using namespace tq::engine;

using Bench = test::SchedulerBench;
using test::kA, test::kB, test::kC, test::kVocab, test::oracle, test::prompt, test::roomy;

TEST_CASE("decode goes on beside a long prompt, which takes the rest of the budget") {
  Bench bench(roomy());
  REQUIRE(bench.scheduler.submit(kA, prompt(3), 0).ok());
  CHECK(bench.step() == std::vector<Bench::Item>{{kA, 0, 3, true}});
  REQUIRE(bench.scheduler.submit(kB, prompt(150, 500), 0).ok());
  CHECK(bench.step() == std::vector<Bench::Item>{{kA, 3, 1, true}, {kB, 0, 63, false}});
  CHECK(bench.step() == std::vector<Bench::Item>{{kA, 4, 1, true}, {kB, 63, 63, false}});
  // 126 + 2: an item ends at the seal point 128, though the budget has more.
  CHECK(bench.step() == std::vector<Bench::Item>{{kA, 5, 1, true}, {kB, 126, 2, false}});
  CHECK(bench.step() == std::vector<Bench::Item>{{kA, 6, 1, true}, {kB, 128, 22, true}});
  CHECK(bench.step() == std::vector<Bench::Item>{{kA, 7, 1, true}, {kB, 150, 1, true}});
}

TEST_CASE("even a decode of higher rank than the prompt does not starve it, nor the other way") {
  SchedulerOptions options = roomy();
  options.step_tokens_max = 3;
  options.seqs_max = 100;  // cut to the budget
  Bench bench(options);
  for (uint64_t i = 1; i <= 5; ++i)
    REQUIRE(bench.scheduler.submit(SeqId{i}, prompt(4, 100), 0).ok());
  for (int i = 0; i < 12; ++i) {
    const auto items = bench.step();
    CHECK(items.size() <= 3);
    CHECK(items.front().seq == kA);
  }
  CHECK(bench.scheduler.n_running() == 3);
  CHECK(bench.scheduler.find(kC)->n_known() > 4);  // the third prompt got through
}

TEST_CASE("admission is by priority, then arrival") {
  SchedulerOptions options = roomy();
  options.seqs_max = 1;
  Bench bench(options);
  REQUIRE(bench.scheduler.submit(kA, prompt(3), 1).ok());
  REQUIRE(bench.scheduler.submit(kB, prompt(3), 0).ok());
  REQUIRE(bench.scheduler.submit(kC, prompt(3), 0).ok());
  CHECK(bench.step().front().seq == kB);
  bench.scheduler.remove(kB);
  CHECK(bench.step().front().seq == kC);
  bench.scheduler.remove(kC);
  CHECK(bench.step().front().seq == kA);
}

TEST_CASE("what is sealed follows the position alone") {
  // Blocks of 32, sinks 64, window 128, stride 128. At 256, [64, 128) is sealed; at 384 to 256.
  SchedulerOptions options = roomy();
  options.kv.window_tokens = 128;
  Bench bench(options);
  REQUIRE(bench.scheduler.submit(kA, prompt(256), 0).ok());
  bench.run_to(kA, 257);
  CHECK(bench.scheduler.find(kA)->sealed_blocks.empty());
  bench.step();  // position 256
  CHECK(bench.n_seals == 2);
  CHECK(bench.scheduler.find(kA)->sealed_blocks.size() == 2);
  CHECK(bench.scheduler.find(kA)->hot_blocks.size() == 7);  // 2 sinks, [128, 288)
  for (int position = 257; position < 384; ++position) {
    bench.step();
    REQUIRE(bench.n_seals == 0);
  }
  bench.step();  // position 384
  CHECK(bench.n_seals == 4);
  CHECK(bench.runner.violations().empty());
}

TEST_CASE("the blocks of sequences that grow side by side ascend by one") {
  SchedulerOptions options = roomy();
  options.kv.prefix_cache = false;
  options.pools = {.hot_blocks = 80, .sealed_blocks = 160};
  Bench bench(options);
  REQUIRE(bench.scheduler.submit(kA, prompt(1500), 0).ok());
  REQUIRE(bench.scheduler.submit(kB, prompt(1400, 300), 0).ok());
  bench.run_to(kA, 1550);
  bench.run_to(kB, 1550);
  for (const SeqId id : {kA, kB}) {
    const auto& blocks = bench.scheduler.find(id)->sealed_blocks;
    REQUIRE(blocks.size() > 35);
    int n_runs = 1;
    for (size_t i = 1; i < blocks.size(); ++i) n_runs += raw(blocks[i]) != raw(blocks[i - 1]) + 1;
    CHECK(n_runs <= 3);  // groups of 16
  }
}

TEST_CASE("a cached prefix is reused, hot and sealed exactly as its position sees it") {
  Bench bench(roomy());
  const auto shared = prompt(500);
  REQUIRE(bench.scheduler.submit(kA, shared, 0).ok());
  bench.run_to(kA, 520);
  bench.scheduler.remove(kA);

  SECTION("the same prompt again: all whole blocks but the last token") {
    REQUIRE(bench.scheduler.submit(kB, shared, 0).ok());
    CHECK(bench.step().front().first == 480);
    CHECK(bench.scheduler.find(kB)->n_cached == 480);
    CHECK(bench.run_to(kB, 540) == oracle(shared, 540));
  }
  SECTION("a prefix of a block multiple leaves one token to compute") {
    REQUIRE(bench.scheduler.submit(kB, prompt(480), 0).ok());
    CHECK(bench.step().front().first == 448);
    CHECK(bench.run_to(kB, 500) == oracle(prompt(480), 500));
  }
  SECTION("another continuation") {
    auto other = prompt(300);
    for (int i = 0; i < 100; ++i) other.push_back(7);
    REQUIRE(bench.scheduler.submit(kB, other, 0).ok());
    CHECK(bench.step().front().first == 288);
    CHECK(bench.run_to(kB, 420) == oracle(other, 420));
  }
  SECTION("another first token: nothing") {
    auto other = shared;
    other[0] = 999;
    REQUIRE(bench.scheduler.submit(kB, other, 0).ok());
    CHECK(bench.step().front().first == 0);
    CHECK(bench.run_to(kB, 510) == oracle(other, 510));
  }
  CHECK(bench.runner.violations().empty());
}

TEST_CASE("hot blocks that were evicted shorten what can be reused") {
  SchedulerOptions options = roomy();
  // Just enough for one sequence: its own later blocks evict the hot versions of what was sealed.
  const KvNeeds needs(options.kv);
  options.pools.hot_blocks = needs.hot_peak(2000);
  Bench bench(options);
  REQUIRE(bench.scheduler.submit(kA, prompt(1000), 0).ok());
  bench.run_to(kA, 1001);
  bench.scheduler.remove(kA);
  SECTION("the whole prefix is there: window hot, the rest sealed") {
    REQUIRE(bench.scheduler.submit(kB, prompt(1000), 0).ok());
    CHECK(bench.step().front().first == 992);
  }
  SECTION(
      "in the middle only sealed versions are left, but a position there wants its window hot") {
    auto middle = prompt(500);
    middle.push_back(1);
    REQUIRE(bench.scheduler.submit(kB, middle, 0).ok());
    CHECK(bench.step().front().first == 64);  // the sinks, which stay hot for good
    CHECK(bench.run_to(kB, 520) == oracle(middle, 520));
  }
  CHECK(bench.runner.violations().empty());
}

TEST_CASE("two that compute the same prompt side by side end up sharing its blocks") {
  Bench bench(roomy());
  REQUIRE(bench.scheduler.submit(kA, prompt(300), 0).ok());
  REQUIRE(bench.scheduler.submit(kB, prompt(300), 0).ok());
  bench.run_to(kA, 301);
  bench.run_to(kB, 301);
  const auto& a = bench.scheduler.find(kA)->hot_blocks;
  const auto& b = bench.scheduler.find(kB)->hot_blocks;
  CHECK(std::equal(a.begin(), a.end() - 1, b.begin()));
  CHECK(a.back() != b.back());  // the partial block is private
  CHECK(bench.scheduler.find(kA)->sealed_blocks == bench.scheduler.find(kB)->sealed_blocks);
}

TEST_CASE("the youngest is preempted, waits first in line, and loses nothing") {
  SchedulerOptions options = roomy();
  options.kv = {.formats = {KvFormat::kBf16, KvFormat::kBf16}, .sink_tokens = 0};
  options.kv.prefix_cache = GENERATE(true, false);
  options.pools = {.hot_blocks = 6, .sealed_blocks = 0};
  options.context_max = 6 * 32;
  Bench bench(options);
  REQUIRE(bench.scheduler.submit(kA, prompt(60), 0).ok());  // 2 blocks and one to grow into
  REQUIRE(bench.scheduler.submit(kB, prompt(50, 300), 0).ok());
  bench.step();
  bench.step();
  CHECK(bench.scheduler.n_running() == 2);
  const auto before = bench.run_to(kA, 129);  // needs its fifth block
  CHECK(bench.scheduler.n_preemptions() >= 1);
  CHECK(bench.scheduler.n_waiting() == 1);
  const auto known = bench.scheduler.find(kB)->tokens;
  CHECK(known.size() > 50);
  REQUIRE(bench.scheduler.submit(kC, prompt(5, 700), 0).ok());
  bench.scheduler.remove(kA);
  CHECK(bench.step().front().seq == kB);  // before the newcomer
  CHECK(bench.run_to(kB, 150) == oracle(prompt(50, 300), 150));
  CHECK(before == oracle(prompt(60), 129));
}

TEST_CASE("a sequence that can never fit is refused with numbers") {
  SchedulerOptions options = roomy();
  options.pools = {.hot_blocks = 12, .sealed_blocks = 2};
  Bench bench(options);
  const int64_t most = bench.scheduler.context_max();
  CHECK(most < options.context_max);
  const auto refused = bench.scheduler.submit(kA, prompt(static_cast<int>(most)), 0);
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().code == Code::kContextLength);
  CHECK(refused.error().message.find(std::to_string(most)) != std::string::npos);
  // One less fits, alone, to the last token.
  REQUIRE(bench.scheduler.submit(kB, prompt(static_cast<int>(most) - 1), 0).ok());
  const auto tokens = bench.run_to(kB, static_cast<size_t>(most));
  CHECK(tokens == oracle(prompt(static_cast<int>(most) - 1), static_cast<size_t>(most)));
}

TEST_CASE("a removed sequence lives until the step that names it is committed") {
  Bench bench(roomy());
  REQUIRE(bench.scheduler.submit(kA, prompt(40), 0).ok());
  const StepPlan& plan = bench.scheduler.schedule();
  REQUIRE(plan.items.size() == 1);
  bench.scheduler.remove(kA);
  REQUIRE(bench.scheduler.find(kA) != nullptr);
  CHECK(bench.scheduler.pool().used(Pool::kHot) == 2);
  REQUIRE(bench.runner.run(plan, [] {}).ok());
  const TokenId token = 5;
  bench.scheduler.commit({&token, 1});
  CHECK(bench.scheduler.find(kA) == nullptr);
  CHECK(bench.scheduler.pool().used(Pool::kHot) == 0);
}

TEST_CASE("what a failed step or a bad row computed is never reused") {
  Bench bench(roomy());
  REQUIRE(bench.scheduler.submit(kA, prompt(40), 0).ok());
  SECTION("failed step") {
    REQUIRE_FALSE(bench.scheduler.schedule().empty());
    bench.scheduler.abandon();
  }
  SECTION("bad row") {
    REQUIRE_FALSE(bench.scheduler.schedule().empty());
    const TokenId none = kNoToken;
    bench.scheduler.commit({&none, 1});
  }
  CHECK(bench.scheduler.find(kA) == nullptr);
  CHECK(bench.scheduler.pool().n_entries() == 0);
  REQUIRE(bench.scheduler.submit(kB, prompt(40), 0).ok());
  CHECK(bench.step().front().first == 0);
}

TEST_CASE("a bad row after many good steps takes its prefix out of the index, but nobody else's") {
  Bench bench(roomy());
  REQUIRE(bench.scheduler.submit(kA, prompt(100), 0).ok());
  bench.run_to(kA, 101);
  auto longer = prompt(40);
  longer.insert(longer.end(), 60, TokenId{3});
  REQUIRE(bench.scheduler.submit(kB, longer, 0).ok());
  bench.run_to(kB, 101);
  const StepPlan& plan = bench.scheduler.schedule();
  std::vector<TokenId> tokens;
  for (const auto& item : plan.items) tokens.push_back(item.seq == kB ? kNoToken : TokenId{1});
  REQUIRE(bench.runner.run(plan, [] {}).ok());
  bench.scheduler.commit(tokens);
  REQUIRE(bench.scheduler.check_invariants().ok());
  CHECK(bench.scheduler.pool().n_entries() == 3);  // A's three full blocks
  CHECK(bench.scheduler.find(kA) != nullptr);
}
