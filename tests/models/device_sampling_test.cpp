// Tokens drawn where a device leaves its logits, by the kernels' own source, are those drawn of the
// same logits here.
#include <catch2/catch.hpp>

#include <algorithm>
#include <limits>
#include <random>
#include <span>
#include <vector>

#include "engine/select_logits.h"
#include "engine/step_sampler.h"
#include "kernels/device_select.h"
#include "tests/kernels/cuda_emulated.h"

namespace tq::engine {
namespace {

constexpr uint32_t kSeed = 20261128;
constexpr int32_t kTokens = 50257;  // rows begin anywhere: no multiple of anything
constexpr int32_t kWidth = kTokens + 2;

struct Taken {
  bool ok = false;
  TokenId token = -1;
  float logprob = 0.0f;

  bool operator==(const Taken&) const = default;
};

std::vector<Taken> take_all(StepSampler& sampler,
                            const StepLogits& logits,
                            std::span<const RowContext> rows) {
  std::vector<Taken> taken;
  const auto done = sampler.sample(
      logits, rows, {.row = kWidth, .n_tokens = kTokens},
      [&](size_t, const Result<Sampled>& sampled) {
        taken.push_back(sampled.ok() ? Taken{true, sampled->token, sampled->logprob} : Taken{});
      });
  REQUIRE(done.ok());
  return taken;
}

std::vector<SamplingParams> requests() {
  std::vector<SamplingParams> all(9);
  all[0].temperature = 0.0f;
  all[1].temperature = 1.3f;
  all[2].temperature = 0.7f, all[2].top_p = 0.9f;
  all[3].top_k = 40, all[3].typical_p = 0.8f;
  all[4].min_p = 0.05f, all[4].logprobs = true, all[4].top_logprobs = 20;
  all[5].presence_penalty = 1.0f, all[5].logit_bias = {{17, 8.0f}}, all[5].logprobs = true;
  all[6].typical_p = 0.5f, all[6].repetition_penalty = 1.2f;  // needs the row
  all[7].temperature = 50.0f, all[7].top_p = 0.99f;           // likewise
  all[8].temperature = 0.0f;                                  // all logits alike
  return all;
}

}  // namespace

TEST_CASE("tokens of logits on a device are those of the same logits here", "[device]") {
  INFO("seed " << kSeed);
  const std::vector<SamplingParams> params = requests();
  const std::vector<TokenId> tokens{17, 3, 99, 99, 50256};
  std::vector<RowContext> rows;
  for (const SamplingParams& of_row : params) {
    rows.push_back({.params = &of_row, .seed = 40 + rows.size(), .tokens = tokens, .n_prompt = 2});
  }
  const auto select = kernels::test::make_emulated_select();
  int n_waits = 0;
  SelectLogits on_device(*select, [&] {
    ++n_waits;
    return Result<void>();
  });
  StepSampler sampler;
  std::mt19937 rng(kSeed);
  std::normal_distribution<float> normal(0.0f, 4.0f);
  for (int step = 0; step < 3; ++step) {
    std::vector<float> logits(params.size() * kWidth);
    for (float& x : logits) x = normal(rng);
    std::fill(logits.end() - kWidth, logits.end(), 0.25f);
    if (step == 2) logits[3 * kWidth + 7] = std::numeric_limits<float>::infinity();
    auto here = logits;
    const auto want = take_all(sampler, {.values = here}, rows);
    on_device.begin(logits, kWidth);
    const auto got = take_all(sampler, {.on_device = &on_device}, rows);
    CHECK((got == want));
    CHECK(std::ranges::count(got, false, &Taken::ok) == (step == 2 ? 1 : 0));
    CHECK(n_waits == step + 1);
  }
}

TEST_CASE("what failed in a step on a device is told where its logits are asked about",
          "[device]") {
  const auto select = kernels::test::make_emulated_select();
  const Error failure{Code::kInternal, "a row could not be sealed", "seal"};
  SelectLogits on_device(*select, [&]() -> Result<void> { return failure; });
  std::vector<float> logits(kWidth, 1.0f);
  const SamplingParams params;
  const std::vector<TokenId> tokens{1};
  const RowContext row{.params = &params, .tokens = tokens, .n_prompt = 1};
  on_device.begin(logits, kWidth);
  StepSampler sampler;
  const auto done =
      sampler.sample({.on_device = &on_device}, {&row, 1}, {.row = kWidth, .n_tokens = kTokens},
                     [](size_t, const Result<Sampled>&) { FAIL("a row"); });
  REQUIRE_FALSE(done.ok());
  CHECK(done.error().where == "seal");
  // Once is enough; and a step that nobody asked about is waited for before the next.
  CHECK(on_device.finish().ok());
  on_device.begin(logits, kWidth);
  CHECK_FALSE(on_device.finish().ok());
}

}  // namespace tq::engine
