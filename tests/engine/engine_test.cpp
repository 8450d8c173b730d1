// The engine thread with the fake runner: what a server sees of it.

#include <algorithm>
#include <atomic>
#include <catch2/catch.hpp>
#include <limits>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/engine/engine_rig.h"

using namespace std::chrono_literals;
using namespace tq;
using namespace tq::engine;
using test::eventually;
using Rig = test::EngineRig;

TEST_CASE("a greedy completion is the oracle's") {
  Rig rig;
  auto run = rig.submit(Rig::job("hello", 50));
  REQUIRE(run.sink->wait_finish());
  const auto record = run.sink->record();
  CHECK(record.tokens == Rig::oracle("hello", 50));
  CHECK(record.finish->reason == FinishReason::kLength);
  CHECK(record.finish->usage.prompt_tokens == 5);
  CHECK(record.finish->usage.completion_tokens == 50);
  CHECK(record.n_finishes == 1);
  CHECK(rig.controls->n_violations == 0);
  CHECK(eventually([&] { return rig.engine->idle(); }));
}

TEST_CASE("the first event leaves before the last token exists") {
  Rig rig;
  rig.controls->step_delay_us = 2000;
  auto run = rig.submit(Rig::job("stream", 200));
  REQUIRE(run.sink->wait_tokens(1));
  const auto early = run.sink->record();
  CHECK(early.tokens.size() < 200);
  CHECK(early.n_finishes == 0);
  REQUIRE(run.sink->wait_finish());
}

TEST_CASE("cancel ends a running sequence once and frees its blocks") {
  Rig rig;
  rig.controls->step_delay_us = 1000;
  auto run = rig.submit(Rig::job("cancel me", 3000));
  REQUIRE(run.sink->wait_tokens(3));
  rig.engine->cancel(run.id);
  rig.engine->cancel(run.id);
  REQUIRE(run.sink->wait_finish());
  CHECK(run.sink->record().finish->reason == FinishReason::kCancelled);
  CHECK(eventually([&] { return rig.engine->idle(); }));
  CHECK(rig.engine->stats().hot_blocks_used == 0);
  CHECK(rig.engine->stats().sealed_blocks_used == 0);
  rig.engine->cancel(run.id);  // ended: ignored
  rig.engine->cancel(SeqId{999});
  CHECK(run.sink->record().n_finishes == 1);
}

TEST_CASE("a full queue refuses, and counts what waits inside the engine too") {
  EngineConfig config;
  config.seqs_max = 1;
  config.queue_max = 3;
  Rig rig(config);
  rig.controls->step_delay_us = 1000;
  auto running = rig.submit(Rig::job("first", 2000));
  REQUIRE(running.sink->wait_tokens(1));
  std::vector<Rig::Running> waiting;
  for (int i = 0; i < 3; ++i) waiting.push_back(rig.submit(Rig::job("later", 2)));
  std::this_thread::sleep_for(20ms);  // the engine takes them; they still wait
  CHECK(rig.refused(Rig::job("too many", 2)).code == Code::kOverloaded);
  rig.engine->cancel(running.id);
  for (auto& run : waiting) {
    REQUIRE(run.sink->wait_finish());
    CHECK(run.sink->record().tokens == Rig::oracle("later", 2));
  }
  auto again = rig.submit(Rig::job("room again", 2));
  CHECK(again.sink->wait_finish());
}

TEST_CASE("what can never run is refused at once, with its field and limit") {
  EngineConfig config;
  config.context_max = 50;
  Rig rig(config);
  CHECK(rig.engine->context_max() == 50);
  const auto long_one = rig.refused(Rig::job(std::string(50, 'x'), 1));
  CHECK(long_one.code == Code::kContextLength);
  CHECK(long_one.message.find("50") != std::string::npos);
  CHECK(rig.refused(Rig::job("", 1)).where == "prompt");
  CHECK(rig.refused(Rig::job("x", 0)).where == "max_tokens");
  auto job = Rig::job("x", 1);
  job.prompt.push_back(260);
  CHECK(rig.refused(job).where == "prompt.1");
  job = Rig::job("x", 1);
  job.sampling.temperature = std::numeric_limits<float>::quiet_NaN();
  CHECK(rig.refused(job).where == "temperature");
  job = Rig::job("x", 1);
  job.stop.strings = {""};
  CHECK(rig.refused(job).where == "stop");
  job = Rig::job("x", 1);
  job.sampling.logit_bias = {{-1, 1.0f}};
  CHECK(rig.refused(job).code == Code::kInvalidArgument);
  // The longest that fits ends at the context, not beyond.
  auto run = rig.submit(Rig::job(std::string(49, 'x'), 10));
  REQUIRE(run.sink->wait_finish());
  CHECK(run.sink->record().finish->reason == FinishReason::kLength);
  CHECK(run.sink->record().tokens.size() == 1);
}

TEST_CASE("a deadline ends a running and a waiting sequence with an error") {
  EngineConfig config;
  config.seqs_max = 1;
  Rig rig(config);
  rig.controls->step_delay_us = 1000;
  auto job = Rig::job("runs", 6000);
  job.deadline = std::chrono::steady_clock::now() + 800ms;
  auto running = rig.submit(job);
  job.deadline = std::chrono::steady_clock::now() + 200ms;
  auto waiting = rig.submit(job);
  REQUIRE(waiting.sink->wait_finish());
  CHECK(waiting.sink->record().tokens.empty());
  REQUIRE(running.sink->wait_finish());
  for (const auto* run : {&running, &waiting}) {
    const auto finish = *run->sink->record().finish;
    CHECK(finish.reason == FinishReason::kError);
    REQUIRE(finish.error.has_value());
    CHECK(finish.error->code == Code::kDeadline);
  }
  CHECK_FALSE(running.sink->record().tokens.empty());
}

TEST_CASE("a request that waits too long ends with kUnavailable") {
  EngineConfig config;
  config.seqs_max = 1;
  config.queue_ms_max = 500;
  Rig rig(config);
  rig.controls->step_delay_us = 1000;
  auto running = rig.submit(Rig::job("runs", 6000));
  REQUIRE(running.sink->wait_tokens(1));
  auto waiting = rig.submit(Rig::job("waits", 1));
  REQUIRE(waiting.sink->wait_finish());
  const auto finish = *waiting.sink->record().finish;
  CHECK(finish.error->code == Code::kUnavailable);
  CHECK(finish.error->message.find("500") != std::string::npos);
  CHECK(running.sink->record().n_finishes == 0);  // running is not waiting
}

TEST_CASE("a failed step ends its sequences only; the engine goes on") {
  Rig rig;
  rig.controls->fail_at_step = 3;
  auto first = rig.submit(Rig::job("first", 100));
  REQUIRE(first.sink->wait_finish());
  const auto record = first.sink->record();
  CHECK(record.finish->reason == FinishReason::kError);
  CHECK(record.finish->error->message == "injected failure");
  CHECK(record.tokens.size() <= 3);
  auto second = rig.submit(Rig::job("first", 100));
  REQUIRE(second.sink->wait_finish());
  CHECK(second.sink->record().tokens == Rig::oracle("first", 100));
  CHECK(rig.engine->stats().healthy);
  CHECK(rig.engine->stats().finished_error == 1);
}

TEST_CASE("an unusable runner ends everything and makes the engine unhealthy") {
  EngineConfig config;
  config.seqs_max = 1;
  Rig rig(config);
  rig.controls->step_delay_us = 1000;
  auto running = rig.submit(Rig::job("runs", 6000));
  auto waiting = rig.submit(Rig::job("waits", 10));
  REQUIRE(running.sink->wait_tokens(2));
  rig.controls->fail_code = Code::kUnavailable;
  rig.controls->fail_at_step = rig.controls->n_steps + 5;
  for (auto* run : {&running, &waiting}) {
    REQUIRE(run->sink->wait_finish());
    CHECK(run->sink->record().finish->error->code == Code::kUnavailable);
  }
  CHECK_FALSE(rig.engine->stats().healthy);
  CHECK(rig.refused(Rig::job("late", 1)).code == Code::kUnavailable);
  CHECK(eventually([&] { return rig.engine->idle(); }));
}

TEST_CASE("a row that is not finite ends its own sequence only") {
  Rig rig;
  // The token after which the first sequence's row breaks, and that the second never meets.
  const auto bad = Rig::oracle("first", 8);
  const auto good = Rig::oracle("second", 60);
  const TokenId poison = bad[7];
  REQUIRE(std::ranges::count(good, poison) == 0);
  REQUIRE(std::ranges::count(bad, poison) == 1);
  rig.controls->nan_for_token = poison;
  auto first = rig.submit(Rig::job("first", 60));
  auto second = rig.submit(Rig::job("second", 60));
  REQUIRE(first.sink->wait_finish());
  REQUIRE(second.sink->wait_finish());
  CHECK(first.sink->record().finish->reason == FinishReason::kError);
  CHECK(first.sink->record().tokens == bad);
  CHECK(second.sink->record().tokens == good);
}

TEST_CASE("drain finishes what was accepted and refuses the rest") {
  EngineConfig config;
  config.seqs_max = 2;
  Rig rig(config);
  rig.controls->step_delay_us = 500;
  std::vector<Rig::Running> runs;
  for (int i = 0; i < 6; ++i) runs.push_back(rig.submit(Rig::job("drain", 40)));
  rig.engine->drain();
  CHECK(rig.refused(Rig::job("late", 1)).code == Code::kUnavailable);
  CHECK_FALSE(rig.engine->idle());
  for (auto& run : runs) {
    REQUIRE(run.sink->wait_finish());
    CHECK(run.sink->record().tokens == Rig::oracle("drain", 40));
  }
  CHECK(eventually([&] { return rig.engine->idle(); }));
}

TEST_CASE("stop cancels what is left, once; so does the destructor") {
  auto rig = std::make_unique<Rig>();
  rig->controls->step_delay_us = 1000;
  std::vector<Rig::Running> runs;
  for (int i = 0; i < 5; ++i) runs.push_back(rig->submit(Rig::job("endless", 5000)));
  REQUIRE(runs[0].sink->wait_tokens(1));
  SECTION("stop, from two threads") {
    std::thread other([&] { rig->engine->stop(); });
    rig->engine->stop();
    other.join();
    CHECK(rig->engine->idle());
    CHECK(rig->refused(Rig::job("late", 1)).code == Code::kUnavailable);
  }
  SECTION("destructor") { rig.reset(); }
  for (auto& run : runs) {
    const auto record = run.sink->record();
    CHECK(record.n_finishes == 1);
    CHECK_FALSE(record.delta_after_finish);
    CHECK(record.finish->reason == FinishReason::kCancelled);
  }
}

TEST_CASE("many clients at once: every output is its own oracle, every sink ends once") {
  EngineConfig config;
  config.seqs_max = 8;
  config.step_tokens_max = 64;
  config.queue_max = 1000;
  Rig rig(config, {.hot_blocks = 40, .sealed_blocks = 20});  // preemptions included
  std::vector<std::thread> clients;
  std::atomic<int> n_right{0};
  std::atomic<int> n_cancelled{0};
  for (int c = 0; c < 4; ++c) {
    clients.emplace_back([&, c] {
      for (int i = 0; i < 15; ++i) {
        const std::string prompt(static_cast<size_t>(1 + 40 * (i % 5)), static_cast<char>('a' + c));
        const auto sink = std::make_shared<test::RecordingSink>();
        auto job = Rig::job(prompt, 30 + 10 * (i % 7));
        job.sink = sink;
        const auto n = static_cast<size_t>(job.stop.max_tokens);
        const auto id = rig.engine->submit(std::move(job));
        if (!id) continue;
        if (i % 4 == 3) {
          rig.engine->cancel(*id);
          if (sink->wait_finish() && sink->record().n_finishes == 1) ++n_cancelled;
        } else if (sink->wait_finish() && sink->record().tokens == Rig::oracle(prompt, n)) {
          ++n_right;
        }
      }
    });
  }
  for (auto& client : clients) client.join();
  CHECK(n_right == 4 * 12);
  CHECK(n_cancelled == 4 * 3);
  CHECK(rig.controls->n_violations == 0);
  CHECK(eventually([&] { return rig.engine->idle(); }));
  CHECK(rig.engine->stats().hot_blocks_used == 0);
  CHECK(rig.engine->stats().running == 0);
  CHECK(rig.engine->stats().prefix_hits > 0);
}
