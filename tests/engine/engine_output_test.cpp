// What a sequence's sink gets: stop rules, text, log-probabilities, seeds, usage, statistics.

#include <algorithm>
#include <catch2/catch.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/engine/engine_rig.h"

using namespace tq;
using namespace tq::engine;
using test::ByteTokenizer;
using Rig = test::EngineRig;

namespace {

// A prompt whose oracle's first n tokens satisfy `wanted`.
template <class Wanted>
std::string find_prompt(size_t n, Wanted wanted) {
  for (int i = 0; i < 100'000; ++i) {
    const std::string prompt = "p" + std::to_string(i);
    if (wanted(Rig::oracle(prompt, n))) return prompt;
  }
  FAIL("no such prompt");
  return "";
}

test::RecordingSink::Record complete(Rig& rig, Job job) {
  auto run = rig.submit(std::move(job));
  REQUIRE(run.sink->wait_finish());
  const auto record = run.sink->record();
  CHECK(record.n_finishes == 1);
  CHECK_FALSE(record.delta_after_finish);
  return record;
}

size_t index_of(const std::vector<TokenId>& tokens, TokenId token) {
  return static_cast<size_t>(std::ranges::find(tokens, token) - tokens.begin());
}

}  // namespace

TEST_CASE("the model's end token ends, and is no text") {
  Rig rig;
  const std::string prompt = find_prompt(40, [](const auto& tokens) {
    const size_t at = index_of(tokens, ByteTokenizer::kEos);
    return at >= 5 && at < 30;
  });
  const auto oracle = Rig::oracle(prompt, 40);
  const size_t at = index_of(oracle, ByteTokenizer::kEos);
  auto job = Rig::job(prompt, 40);
  job.stop.ignore_eos = false;
  SECTION("as it comes") {
    const auto record = complete(rig, job);
    CHECK(record.finish->reason == FinishReason::kStop);
    CHECK(record.finish->stop_token == ByteTokenizer::kEos);
    CHECK(record.tokens ==
          std::vector<TokenId>(oracle.begin(), oracle.begin() + static_cast<ptrdiff_t>(at)));
    CHECK(record.finish->usage.completion_tokens == static_cast<int64_t>(at) + 1);
    CHECK(rig.engine->stats().finished_stop == 1);
  }
  SECTION("ignored") {
    job.stop.ignore_eos = true;
    CHECK(complete(rig, job).tokens == oracle);
  }
  SECTION("not before min_tokens: another token is drawn in its place") {
    job.stop.min_tokens = static_cast<int64_t>(at) + 1;
    const auto record = complete(rig, job);
    REQUIRE(record.tokens.size() > at);
    CHECK(std::equal(oracle.begin(), oracle.begin() + static_cast<ptrdiff_t>(at),
                     record.tokens.begin()));
    CHECK(record.tokens[at] != ByteTokenizer::kEos);
  }
  SECTION("a stop token of the request's own") {
    job.stop.token_ids = {oracle[2]};
    const auto record = complete(rig, job);
    CHECK(record.finish->stop_token == oracle[2]);
    CHECK(record.tokens.size() == index_of(oracle, oracle[2]));
  }
}

TEST_CASE("a stop string over token borders ends the text before it") {
  Rig rig;
  const auto is_letter = [](TokenId t) { return t > ' ' && t < 127; };
  const std::string prompt = find_prompt(12, [&](const auto& t) {
    return is_letter(t[8]) && is_letter(t[9]) && is_letter(t[10]) && index_of(t, t[8]) == 8;
  });
  const auto oracle = Rig::oracle(prompt, 12);
  auto job = Rig::job(prompt, 40);
  job.stop.strings = {
      {static_cast<char>(oracle[8]), static_cast<char>(oracle[9]), static_cast<char>(oracle[10])}};
  const auto plain = complete(rig, Rig::job(prompt, 8));
  const auto record = complete(rig, job);
  CHECK(record.finish->reason == FinishReason::kStop);
  CHECK(record.finish->stop_string == job.stop.strings[0]);
  CHECK(record.tokens.size() == 11);
  CHECK(record.text == plain.text);
  job.stop.include_stop_string = true;
  CHECK(complete(rig, job).text == plain.text + job.stop.strings[0]);
  job.stop.min_tokens = 12;
  CHECK(complete(rig, job).finish->reason == FinishReason::kLength);
}

TEST_CASE("text held back comes out at the end, and unfinished UTF-8 as U+FFFD") {
  Rig rig;
  const std::string prompt =
      find_prompt(6, [](const auto& t) { return t[5] >= 0xc3 && t[5] < 0xe0; });
  const auto record = complete(rig, Rig::job(prompt, 6));
  CHECK(record.text.ends_with("\xef\xbf\xbd"));
  CHECK(record.tokens.size() == 6);
}

TEST_CASE("log-probabilities: one entry per token, descending alternatives, bytes") {
  Rig rig;
  auto job = Rig::job("logprobs", 10);
  job.sampling.logprobs = true;
  job.sampling.top_logprobs = 4;
  const auto record = complete(rig, job);
  REQUIRE(record.logprobs.size() == 10);
  for (size_t i = 0; i < 10; ++i) {
    const TokenLogprob& entry = record.logprobs[i];
    CHECK(entry.token == record.tokens[i]);
    CHECK(entry.bytes == rig.tokenizer.piece(entry.token, true));
    REQUIRE(entry.top.size() == 4);
    CHECK(entry.top[0].token == entry.token);  // greedy
    CHECK(entry.top[0].logprob == entry.logprob);
    CHECK(std::ranges::is_sorted(entry.top, std::greater{}, &TopLogprob::logprob));
    CHECK(entry.logprob < 0.0f);
  }
  CHECK(complete(rig, Rig::job("logprobs", 10)).logprobs.empty());
}

TEST_CASE("a seed gives the same tokens alone, in a batch, and through preemption") {
  const auto sampled = [](const std::string& prompt, std::optional<uint64_t> seed) {
    auto job = Rig::job(prompt, 120);
    job.sampling.temperature = 8.0f;  // far from greedy: the peak of the fake logits is 20
    job.sampling.top_p = 0.9f;
    job.sampling.seed = seed;
    return job;
  };
  Rig alone;
  const auto expected = complete(alone, sampled("seeded", 42)).tokens;
  CHECK(expected != Rig::oracle("seeded", 120));
  CHECK(complete(alone, sampled("seeded", 43)).tokens != expected);
  CHECK(complete(alone, sampled("seeded", {})).tokens !=
        complete(alone, sampled("seeded", {})).tokens);

  EngineConfig config;
  config.kv.formats = {KvFormat::kBf16, KvFormat::kBf16};
  config.kv.sink_tokens = 0;
  Rig crowded(config, {.hot_blocks = 6, .sealed_blocks = 0});
  std::vector<Rig::Running> others;
  for (int i = 0; i < 4; ++i) {
    others.push_back(crowded.submit(sampled("other" + std::to_string(i), {})));
  }
  CHECK(complete(crowded, sampled("seeded", 42)).tokens == expected);
  for (auto& other : others) REQUIRE(other.sink->wait_finish());
  CHECK(crowded.engine->stats().preemptions > 0);
  CHECK(crowded.controls->n_violations == 0);
}

TEST_CASE("usage counts the cached part of the prompt; reuse changes no token") {
  Rig rig;
  const std::string prompt(300, 'q');
  const auto first = complete(rig, Rig::job(prompt, 20));
  const auto second = complete(rig, Rig::job(prompt, 20));
  CHECK(first.finish->usage.cached_tokens == 0);
  CHECK(second.finish->usage.cached_tokens == 288);
  CHECK(second.finish->usage.prompt_tokens == 300);
  CHECK(second.tokens == first.tokens);
  CHECK(first.tokens == Rig::oracle(prompt, 20));
  CHECK(rig.engine->stats().prefix_hits == 288);
}

TEST_CASE("a sentencepiece model's first space is dropped only where text begins") {
  const auto space_and_letter = [](const std::vector<TokenId>& t) {
    return t[0] == ' ' && t[1] >= 'a' && t[1] <= 'z';
  };
  const std::string prompt = find_prompt(2, space_and_letter);
  const std::string letter(1, static_cast<char>(Rig::oracle(prompt, 2)[1]));
  Rig rig;
  CHECK(complete(rig, Rig::job(prompt, 2)).text == " " + letter);

  const EngineConfig config;
  const ByteTokenizer tokenizer(/*strips_leading_space=*/true);
  Engine engine(config,
                std::make_unique<test::FakeRunner>(test::FakeRunnerOptions{
                    .kv = config.kv, .pools = {50, 50}, .vocab_size = ByteTokenizer::kVocab}),
                tokenizer);
  const auto text_of = [&](std::vector<TokenId> tokens) {
    auto job = Rig::job("x", 2);
    job.prompt = std::move(tokens);
    const auto sink = std::make_shared<test::RecordingSink>();
    job.sink = sink;
    const bool is_taken = engine.submit(std::move(job)).ok();
    REQUIRE(is_taken);
    REQUIRE(sink->wait_finish());
    return sink->record().text;
  };
  // It continues a text: the space belongs to it.
  CHECK(text_of(tokenizer.encode(prompt, {.add_special = false})) == " " + letter);
  // After a control token a new text begins.
  for (TokenId n = 0; n < 65'536; ++n) {
    const std::vector<TokenId> tokens{n % 256, n / 256, ByteTokenizer::kEos};
    const uint64_t chain = test::chain_of(tokens);
    const TokenId first = test::fake_next(chain, ByteTokenizer::kVocab);
    const TokenId second = test::fake_next(test::extend_chain(chain, first), ByteTokenizer::kVocab);
    if (!space_and_letter({first, second})) continue;
    CHECK(text_of(tokens) == std::string(1, static_cast<char>(second)));
    return;
  }
  FAIL("no such prompt");
}

TEST_CASE("logits that stay on a device give the same outputs") {
  Rig rig;
  rig.controls->nan_for_token = 'x';
  const auto same = [&](const Job& job) {
    rig.controls->on_device = false;
    const auto here = complete(rig, job);
    rig.controls->on_device = true;
    const auto there = complete(rig, job);
    CHECK(here.tokens == there.tokens);
    CHECK(here.text == there.text);
    CHECK(here.finish->reason == there.finish->reason);
    REQUIRE(here.logprobs.size() == there.logprobs.size());
    for (size_t i = 0; i < here.logprobs.size(); ++i) {
      CHECK(here.logprobs[i].logprob == there.logprobs[i].logprob);
      REQUIRE(here.logprobs[i].top.size() == there.logprobs[i].top.size());
      for (size_t k = 0; k < here.logprobs[i].top.size(); ++k) {
        CHECK(here.logprobs[i].top[k].token == there.logprobs[i].top[k].token);
        CHECK(here.logprobs[i].top[k].logprob == there.logprobs[i].top[k].logprob);
      }
    }
    return there;
  };
  auto job = Rig::job("a prompt", 40);
  CHECK(same(job).tokens == Rig::oracle("a prompt", 40));
  job.sampling.seed = 11;
  job.sampling.temperature = 30.0f;  // far from the peak
  const auto plain = same(job);
  CHECK(plain.tokens != Rig::oracle("a prompt", 40));
  job.sampling.logprobs = true;
  job.sampling.top_logprobs = 5;
  job.sampling.presence_penalty = 0.7f;
  job.stop.min_tokens = 20;
  job.stop.token_ids = {plain.tokens[0]};
  same(job);
  job.sampling.top_p = 0.9f;  // more tokens than the answers have
  same(job);
  CHECK(same(Rig::job("x", 4)).finish->reason == FinishReason::kError);
}

TEST_CASE("the histograms see each request once and each token once") {
  Rig rig;
  complete(rig, Rig::job("one", 10));
  complete(rig, Rig::job("two", 5));
  const EngineStats& stats = rig.engine->stats();
  CHECK(stats.time_to_first_token_s.total() == 2);
  CHECK(stats.e2e_latency_s.total() == 2);
  CHECK(stats.queue_s.total() == 2);
  CHECK(stats.prefill_s.total() == 2);
  CHECK(stats.decode_s.total() == 2);
  CHECK(stats.inference_s.total() == 2);
  CHECK(stats.inter_token_latency_s.total() == 9 + 4);
  CHECK(stats.prompt_tokens == 6);
  CHECK(stats.generation_tokens == 15);
  CHECK(stats.request_generation_tokens.sum() == 15.0);
  CHECK(stats.steps == 15);
  CHECK(stats.step_tokens.sum() == 6 + 13);  // the last token of each is never computed
  CHECK(stats.finished_length == 2);
  CHECK(stats.time_to_first_token_s.bounds().front() == .001);
  CHECK(stats.time_to_first_token_s.bounds().back() == 2560);
}

TEST_CASE("a histogram puts a value on its bound into that bucket") {
  static constexpr double kBounds[] = {1.0, 2.0};
  Histogram histogram(kBounds);
  for (const double value : {0.5, 1.0, 1.5, 2.0, 3.0}) histogram.observe(value);
  CHECK(histogram.count(0) == 2);
  CHECK(histogram.count(1) == 2);
  CHECK(histogram.count(2) == 1);
  CHECK(histogram.total() == 5);
  CHECK(histogram.sum() == 8.0);
}
