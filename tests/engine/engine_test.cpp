// The engine thread with the fake runner: what a server sees of it.

#include "engine/engine.h"

#include <catch2/catch.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/byte_tokenizer.h"
#include "tests/support/fake_runner.h"
#include "tests/support/recording_sink.h"

using namespace std::chrono_literals;
using namespace tq;
using namespace tq::engine;
using test::ByteTokenizer;
using test::FakeControls;
using test::FakeRunner;
using test::RecordingSink;

namespace {

struct Rig {
  explicit Rig(EngineConfig engine_config = {}, kernels::PoolSizes pools = {200, 200})
      : config(std::move(engine_config)) {
    auto runner =
        std::make_unique<FakeRunner>(test::FakeRunnerOptions{.kv = config.kv,
                                                             .pools = pools,
                                                             .vocab_size = ByteTokenizer::kVocab,
                                                             .controls = controls});
    engine = std::make_unique<Engine>(config, std::move(runner), tokenizer);
  }

  static Job job(const std::string& prompt, int64_t max_tokens) {
    Job job;
    for (const char c : prompt) job.prompt.push_back(static_cast<unsigned char>(c));
    job.sampling.temperature = 0.0f;
    job.stop.max_tokens = max_tokens;
    job.stop.ignore_eos = true;
    return job;
  }

  struct Running {
    std::shared_ptr<RecordingSink> sink;
    SeqId id{};
  };
  Running submit(Job job) {
    Running running{.sink = std::make_shared<RecordingSink>()};
    job.sink = running.sink;
    const auto id = engine->submit(std::move(job));
    INFO((id.ok() ? "" : id.error().describe()));
    REQUIRE(id.ok());
    running.id = *id;
    return running;
  }
  Error refused(Job job) {
    const auto sink = std::make_shared<RecordingSink>();
    job.sink = sink;
    const auto id = engine->submit(std::move(job));
    REQUIRE_FALSE(id.ok());
    CHECK(sink->record().n_finishes == 0);
    return id.error();
  }

  // What the sequence alone would get.
  static std::vector<TokenId> oracle(const std::string& prompt, int n) {
    std::vector<TokenId> tokens;
    for (const char c : prompt) tokens.push_back(static_cast<unsigned char>(c));
    uint64_t chain = test::chain_of(tokens);
    std::vector<TokenId> output;
    for (int i = 0; i < n; ++i) {
      output.push_back(test::fake_next(chain, ByteTokenizer::kVocab));
      chain = test::extend_chain(chain, output.back());
    }
    return output;
  }

  EngineConfig config;
  ByteTokenizer tokenizer;
  std::shared_ptr<FakeControls> controls = std::make_shared<FakeControls>();
  std::unique_ptr<Engine> engine;
};

bool eventually(const std::function<bool()>& condition) {
  for (int i = 0; i < 4000; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(5ms);
  }
  return false;
}

}  // namespace

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
