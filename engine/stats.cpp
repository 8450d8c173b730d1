#include "engine/stats.h"

#include <algorithm>

#include "config/check.h"

namespace tq::engine {

namespace {

// Buckets of vLLM, so that its dashboards read ours; seconds.
constexpr double kTtftBounds[] = {.001, .005, .01, .02, .04, .06, .08, .1, .25, .5,  .75,
                                  1,    2.5,  5,   7.5, 10,  20,  40,  80, 160, 640, 2560};
constexpr double kTokenBounds[] = {.001, .0025, .005, .01, .025, .05, .075, .1,  .15, .2,
                                   .3,   .4,    .5,   .75, 1,    2.5, 5,    7.5, 10,  20};
constexpr double kRequestBounds[] = {.01, .05, .1, .3, .5, .8, 1,  1.5, 2,   2.5, 5,
                                     10,  15,  20, 30, 40, 50, 60, 120, 240, 480, 960};
constexpr double kCountBounds[] = {1,   2,    4,    8,    16,   32,    64,    128,   256,
                                   512, 1024, 2048, 4096, 8192, 16384, 32768, 65536, 131072};

}  // namespace

Histogram::Histogram(std::span<const double> bounds) noexcept : bounds_(bounds) {
  TQ_CHECK(bounds.size() <= kBucketsMax && std::ranges::is_sorted(bounds), "bad buckets",
           bounds.size());
}

void Histogram::observe(double value) noexcept {
  const auto bucket = std::ranges::lower_bound(bounds_, value) - bounds_.begin();
  counts_[static_cast<size_t>(bucket)].fetch_add(1, std::memory_order_relaxed);
  sum_.fetch_add(value, std::memory_order_relaxed);
}

uint64_t Histogram::count(int bucket) const noexcept {
  return counts_[static_cast<size_t>(bucket)].load(std::memory_order_relaxed);
}

uint64_t Histogram::total() const noexcept {
  uint64_t total = 0;
  for (const auto& count : counts_) total += count.load(std::memory_order_relaxed);
  return total;
}

double Histogram::sum() const noexcept { return sum_.load(std::memory_order_relaxed); }

EngineStats::EngineStats()
    : time_to_first_token_s(kTtftBounds),
      inter_token_latency_s(kTokenBounds),
      e2e_latency_s(kRequestBounds),
      queue_s(kRequestBounds),
      prefill_s(kRequestBounds),
      decode_s(kRequestBounds),
      inference_s(kRequestBounds),
      step_tokens(kCountBounds),
      request_prompt_tokens(kCountBounds),
      request_generation_tokens(kCountBounds) {}

}  // namespace tq::engine
