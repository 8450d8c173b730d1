#pragma once
// EngineRig: an Engine on a FakeRunner, with what its tests need around it. Test thread only.

#include <algorithm>
#include <catch2/catch.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "engine/engine.h"
#include "tests/support/byte_tokenizer.h"
#include "tests/support/fake_runner.h"
#include "tests/support/recording_sink.h"

namespace tq::test {

struct EngineRig {
  explicit EngineRig(EngineConfig engine_config = {}, kernels::PoolSizes pools = {200, 200})
      : config(std::move(engine_config)) {
    auto runner =
        std::make_unique<FakeRunner>(FakeRunnerOptions{.kv = config.kv,
                                                       .pools = pools,
                                                       .vocab_size = ByteTokenizer::kVocab,
                                                       .controls = controls});
    engine = std::make_unique<engine::Engine>(config, std::move(runner), tokenizer);
  }

  static engine::Job job(const std::string& prompt, int64_t max_tokens) {
    engine::Job job;
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
  Running submit(engine::Job job) {
    Running running{.sink = std::make_shared<RecordingSink>()};
    job.sink = running.sink;
    const auto id = engine->submit(std::move(job));
    INFO((id.ok() ? "" : id.error().describe()));
    REQUIRE(id.ok());
    running.id = *id;
    return running;
  }
  Error refused(engine::Job job) {
    const auto sink = std::make_shared<RecordingSink>();
    job.sink = sink;
    const auto id = engine->submit(std::move(job));
    REQUIRE_FALSE(id.ok());
    CHECK(sink->record().n_finishes == 0);
    return id.error();
  }

  // What the sequence alone would get.
  static std::vector<TokenId> oracle(const std::string& prompt, size_t n) {
    std::vector<TokenId> tokens;
    for (const char c : prompt) tokens.push_back(static_cast<unsigned char>(c));
    uint64_t chain = chain_of(tokens);
    std::vector<TokenId> output;
    for (size_t i = 0; i < n; ++i) {
      output.push_back(fake_next(chain, ByteTokenizer::kVocab));
      chain = extend_chain(chain, output.back());
    }
    return output;
  }

  EngineConfig config;
  ByteTokenizer tokenizer;
  std::shared_ptr<FakeControls> controls = std::make_shared<FakeControls>();
  std::unique_ptr<engine::Engine> engine;
};

inline bool eventually(const std::function<bool()>& condition) {
  for (int i = 0; i < 4000; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return false;
}

}  // namespace tq::test
