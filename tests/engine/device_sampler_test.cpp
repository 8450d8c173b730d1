// A row on a device gives the token, and the log-probabilities, of the same row here: equal, not
// nearly. The device is a plain loop (tests/support); its kernels have tests of their own.

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <functional>
#include <limits>
#include <optional>
#include <vector>

#include "engine/step_sampler.h"
#include "kernels/token_weight.h"
#include "tests/support/loop_logits.h"
#include "tests/support/seeded.h"

using namespace tq;
using namespace tq::engine;

namespace {

struct Row {
  std::vector<float> logits;
  SamplingParams params{};
  std::vector<TokenId> tokens{0};
  int64_t n_prompt = 1;
  std::vector<TokenId> banned{};
  uint64_t seed = 1;

  RowContext context() const {
    return {
        .params = &params, .seed = seed, .tokens = tokens, .n_prompt = n_prompt, .banned = banned};
  }
};

struct Taken {
  std::optional<Code> error;
  TokenId token = -1;
  float logprob = 0.0f;
  std::vector<RankedToken> top;
};

class Both {
 public:
  explicit Both(size_t top_room) : device_(top_room) {}

  // All rows in one step, here and there; they are of one length, padded with what is not looked
  // at.
  void check(const std::vector<Row>& rows) {
    const size_t n_tokens = rows[0].logits.size();
    const StepSampler::Widths widths{.row = static_cast<int32_t>(n_tokens + kPadding),
                                     .n_tokens = static_cast<int32_t>(n_tokens)};
    std::vector<RowContext> contexts;
    std::vector<float> logits;
    for (const Row& row : rows) {
      contexts.push_back(row.context());
      logits.insert(logits.end(), row.logits.begin(), row.logits.end());
      logits.insert(logits.end(), kPadding, std::numeric_limits<float>::quiet_NaN());
    }
    auto values = logits;
    const auto here = run({.values = values}, contexts, widths);
    const auto there = run({.on_device = &device_.reset(logits, widths.row)}, contexts, widths);
    for (size_t i = 0; i < rows.size(); ++i) {
      INFO("row " << i << " of " << n_tokens << ", temperature " << rows[i].params.temperature
                  << ", top_k " << rows[i].params.top_k << ", top_p " << rows[i].params.top_p
                  << ", typical_p " << rows[i].params.typical_p << ", min_p "
                  << rows[i].params.min_p << ", seed " << rows[i].seed);
      REQUIRE(here[i].error == there[i].error);
      REQUIRE(here[i].token == there[i].token);
      REQUIRE(here[i].logprob == there[i].logprob);
      REQUIRE(here[i].top.size() == there[i].top.size());
      for (size_t k = 0; k < here[i].top.size(); ++k) {
        REQUIRE(here[i].top[k].token == there[i].top[k].token);
        REQUIRE(here[i].top[k].logprob == there[i].top[k].logprob);
      }
    }
  }

  int n_fetched() const { return device_.n_fetched(); }

 private:
  static constexpr size_t kPadding = 3;

  std::vector<Taken> run(const StepLogits& logits,
                         const std::vector<RowContext>& rows,
                         const StepSampler::Widths& widths) {
    std::vector<Taken> taken;
    const auto done =
        sampler_.sample(logits, rows, widths, [&](size_t i, const Result<Sampled>& sampled) {
          REQUIRE(i == taken.size());
          if (!sampled.ok()) {
            taken.push_back({.error = sampled.error().code, .top = {}});
          } else {
            taken.push_back({.error = {},
                             .token = sampled->token,
                             .logprob = sampled->logprob,
                             .top = {sampled->top.begin(), sampled->top.end()}});
          }
        });
    REQUIRE(done.ok());
    REQUIRE(taken.size() == rows.size());
    return taken;
  }

  StepSampler sampler_;
  test::LoopLogits device_;
};

std::vector<float> bell(test::Seeded& random, size_t n, double scale) {
  std::vector<float> logits;
  for (size_t i = 0; i < n; ++i) {
    double x = 0.0;
    for (int k = 0; k < 6; ++k) x += random.unit() - 0.5;
    logits.push_back(static_cast<float>(scale * x));
  }
  return logits;
}

void choose_filters(test::Seeded& random, SamplingParams& params) {
  params.temperature = random.chance(0.15) ? 0.0f : static_cast<float>(0.1 + 2.0 * random.unit());
  if (random.chance(0.3)) params.top_k = static_cast<int>(random.in(1, 700));
  if (random.chance(0.1)) params.top_k = static_cast<int>(random.in(1, 3000));
  if (random.chance(0.4)) params.top_p = static_cast<float>(0.01 + 0.99 * random.unit());
  if (random.chance(0.2)) params.typical_p = static_cast<float>(0.01 + 0.99 * random.unit());
  if (random.chance(0.3)) params.min_p = static_cast<float>(std::pow(random.unit(), 4.0));
}

void choose_changes(test::Seeded& random, Row& row) {
  const auto last = static_cast<int64_t>(row.logits.size()) - 1;
  const auto any = [&] { return static_cast<TokenId>(random.in(0, last)); };
  row.n_prompt = random.in(1, 5);
  for (int64_t i = random.in(row.n_prompt, 30); i >= 0; --i) row.tokens.push_back(any());
  if (random.chance(0.3)) row.params.repetition_penalty = static_cast<float>(0.5 + random.unit());
  if (random.chance(0.3)) row.params.presence_penalty = static_cast<float>(2.0 * random.unit());
  if (random.chance(0.3)) row.params.frequency_penalty = static_cast<float>(random.unit() - 0.5);
  if (random.chance(0.3)) row.params.logit_bias = {{any(), 3.0f}, {any(), -100.0f}};
  for (int i = random.chance(0.3) ? 4 : 0; i > 0; --i) row.banned.push_back(any());
  row.params.logprobs = random.chance(0.3);
  row.params.top_logprobs = static_cast<int>(random.in(0, 20));
}

}  // namespace

TEST_CASE("a row on a device gives the same token, whatever is asked") {
  const uint64_t seed = 20261128;
  INFO("seed " << seed);
  test::Seeded random(seed);
  Both both(/*top_room=*/832);
  int n_rows = 0;
  for (int round = 0; round < 400; ++round) {
    const auto n = static_cast<size_t>(random.chance(0.5) ? random.in(1, 40) : random.in(1, 3000));
    // Coarse logits have ties, at every bound too.
    const bool coarse = random.chance(0.4);
    std::vector<Row> rows;
    for (int64_t i = random.in(1, 6); i > 0; --i) {
      Row row{.logits = bell(random, n, 1.0 + 5.0 * random.unit())};
      for (float& x : row.logits) x = coarse ? std::round(2.0f * x) / 2.0f : x;
      choose_filters(random, row.params);
      choose_changes(random, row);
      row.seed = random.next();
      rows.push_back(std::move(row));
    }
    both.check(rows);
    n_rows += static_cast<int>(rows.size());
  }
  CHECK(both.n_fetched() > n_rows / 50);  // both ways to a token are seen
  CHECK(both.n_fetched() < n_rows / 2);
}

TEST_CASE("rows on a device that leave nothing to chance") {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  test::Seeded random(5);
  std::vector<std::vector<float>> cases;
  cases.emplace_back(2000, 1.5f);            // all alike
  cases.push_back(bell(random, 2000, 3.0));  // a huge one
  cases.back()[1234] = 1e30f;
  cases.push_back(bell(random, 2000, 3.0));  // ties around the bound of 40
  std::fill_n(cases.back().begin() + 100, 60, 50.0f);
  cases.push_back(bell(random, 2000, 3.0));  // differences overflow
  cases.back()[3] = -3e38f, cases.back()[4] = 3e38f;
  cases.emplace_back(2000, -0.0f);  // zeros of both signs
  cases.back()[700] = 0.0f;
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), kInf, -kInf}) {
    cases.push_back(bell(random, 2000, 3.0));
    cases.back()[77] = bad;
  }
  Both both(/*top_room=*/144);
  for (const auto& logits : cases) {
    std::vector<Row> rows;
    for (const float temperature : {0.0f, 1e-30f, 1.0f, 1e6f}) {
      for (int filter = 0; filter < 6; ++filter) {
        Row row{.logits = logits};
        row.params.temperature = temperature;
        if (filter == 1) row.params.top_k = 40;
        if (filter == 2) row.params.top_p = 0.3f;
        if (filter == 3) row.params.min_p = 0.5f;
        if (filter == 4) row.params.typical_p = 0.5f;
        if (filter == 5) row.params.repetition_penalty = 1e-6f, row.tokens = {1234, 4, 77, 5};
        row.params.logprobs = true;
        row.params.top_logprobs = 3;
        row.seed = random.next();
        rows.push_back(row);
        row.banned = {1234, 77, 4};  // where the extremes stand
        rows.push_back(row);
      }
    }
    both.check(rows);
  }
  // And nothing is left to draw from, or one token.
  std::vector<Row> rows(2, {.logits = {1.0f, 2.0f, 3.0f}, .banned = {0, 1, 2}});
  rows[1].banned = {0, 2};
  both.check(rows);
}

TEST_CASE("a row is needed where top_p reaches beyond the answer, and only there") {
  test::Seeded random(11);
  const float temperature = 2.0f;
  Row row{.logits = bell(random, 3000, 3.0)};
  row.params.temperature = temperature;
  auto sorted = row.logits;
  std::ranges::sort(sorted, std::greater<>());
  double total = 0.0;
  double answered = 0.0;
  for (size_t i = 0; i < sorted.size(); ++i) {
    const float weight =
        kernels::token_weight(sorted[i], sorted[0], kernels::weight_factor(temperature));
    total += weight;
    if (i < kernels::kSelectTopMax) answered += weight;
  }
  const auto share = static_cast<float>(answered / total);
  for (const bool beyond : {false, true}) {
    Both both(/*top_room=*/832);
    row.params.top_p = std::nextafter(share, beyond ? 2.0f : 0.0f);
    both.check(std::vector<Row>(4, row));
    CHECK(both.n_fetched() == (beyond ? 4 : 0));
  }
}

TEST_CASE("what chats ask of a device never needs the row") {
  test::Seeded random(7);
  Both both(/*top_room=*/832);
  std::vector<Row> rows;
  for (int i = 0; i < 40; ++i) {
    Row row{.logits = bell(random, 32'000, 9.0)};
    row.seed = random.next();
    SamplingParams& params = row.params;
    if (i % 8 == 1) params.temperature = 0.0f;
    if (i % 8 == 2) params.temperature = 0.7f, params.top_p = 0.9f;
    if (i % 8 == 3) params.temperature = 0.8f, params.top_k = 40, params.top_p = 0.95f;
    if (i % 8 == 4) params.min_p = 0.05f;
    if (i % 8 == 5) params.temperature = 2.0f;
    if (i % 8 == 6) params.logprobs = true, params.top_logprobs = 20;
    if (i % 8 == 7) params.presence_penalty = 1.0f, row.tokens = {1, 2, 3, 3, 4};
    rows.push_back(std::move(row));
  }
  both.check(rows);
  CHECK(both.n_fetched() == 0);
}

TEST_CASE("a runner that gives another number of rows fails the step") {
  const Row row{.logits = {1.0f, 2.0f}};
  const std::vector<RowContext> two{row.context(), row.context()};
  StepSampler sampler;
  std::vector<float> logits{1.0f, 2.0f};
  test::LoopLogits device(8);
  for (const StepLogits& given :
       {StepLogits{.values = logits}, StepLogits{.on_device = &device.reset(logits, 2)}}) {
    const auto done = sampler.sample(given, two, {.row = 2, .n_tokens = 2},
                                     [](size_t, const Result<Sampled>&) { FAIL("a row"); });
    REQUIRE_FALSE(done.ok());
    CHECK(done.error().code == Code::kInternal);
  }
}
