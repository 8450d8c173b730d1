#include "engine/sampler.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <string>

#include "config/check.h"

namespace tq::engine {

namespace {

constexpr float kExcluded = -std::numeric_limits<float>::infinity();

constexpr uint64_t mix(uint64_t x) noexcept {  // the finaliser of SplitMix64
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
  return x ^ (x >> 31);
}

// The largest logit, the lowest id on ties; -1 if a logit is not finite. Eight independent lanes,
// so that the compiler uses vectors: this is all that a greedy row costs.
TokenId checked_argmax(std::span<const float> logits) noexcept {
  constexpr size_t kLanes = 8;
  std::array<float, kLanes> best;
  std::array<int32_t, kLanes> at{};
  // x - x is 0 for finite x and NaN for all others, and a NaN never leaves a sum.
  std::array<float, kLanes> taint{};
  best.fill(kExcluded);
  const size_t n_whole = logits.size() / kLanes * kLanes;
  for (size_t i = 0; i < n_whole; i += kLanes) {
    for (size_t lane = 0; lane < kLanes; ++lane) {
      const float x = logits[i + lane];
      const bool is_better = x > best[lane];
      best[lane] = is_better ? x : best[lane];
      at[lane] = is_better ? static_cast<int32_t>(i + lane) : at[lane];
      taint[lane] += x - x;
    }
  }
  float top = kExcluded;
  TokenId token = -1;
  float any_taint = 0.0f;
  const auto consider = [&](float x, int32_t idx) {
    if (x > top || (x == top && idx < token)) {
      top = x;
      token = idx;
    }
  };
  for (size_t lane = 0; lane < kLanes; ++lane) {
    any_taint += taint[lane];
    consider(best[lane], at[lane]);
  }
  for (size_t i = n_whole; i < logits.size(); ++i) {
    any_taint += logits[i] - logits[i];
    consider(logits[i], static_cast<int32_t>(i));
  }
  return any_taint == 0.0f ? token : -1;
}

TokenId argmax(std::span<const float> logits) noexcept {
  const auto best = std::ranges::max_element(logits);  // the first of equal ones
  return *best == kExcluded ? -1 : static_cast<TokenId>(best - logits.begin());
}

double log_sum_exp(std::span<const float> logits, float max) noexcept {
  double sum = 0.0;
  for (const float logit : logits) sum += std::exp(logit - max);
  return max + std::log(sum);
}

}  // namespace

double uniform_at(uint64_t seed, uint64_t counter) noexcept {
  const uint64_t stream = mix(seed + 0x9e3779b97f4a7c15ull);
  const uint64_t bits = mix(stream + (counter + 1) * 0xd1342543de82ef95ull);
  return static_cast<double>(mix(bits ^ stream) >> 11) * 0x1.0p-53;
}

Result<Sampled> Sampler::sample(const SampleCall& call) {
  const SamplingParams& params = *call.params;
  TQ_CHECK(!call.logits.empty() && call.n_prompt >= 0 &&
               static_cast<size_t>(call.n_prompt) <= call.tokens.size(),
           "bad sampling call", call.logits.size(), call.n_prompt, call.tokens.size());
  const TokenId raw_best = checked_argmax(call.logits);
  if (raw_best < 0) {
    return Error{Code::kInternal, "the model's logits are not finite for this sequence", "logits"};
  }
  double log_sum = 0.0;
  top_.clear();
  if (params.logprobs) {
    log_sum = log_sum_exp(call.logits, call.logits[static_cast<size_t>(raw_best)]);
    rank_top(call.logits, params.top_logprobs, log_sum);
  }
  const bool plain = params.logit_bias.empty() && call.banned.empty() &&
                     params.repetition_penalty == 1.0f && params.presence_penalty == 0.0f &&
                     params.frequency_penalty == 0.0f;
  if (plain && params.temperature <= 0.0f) {
    const float logit = call.logits[static_cast<size_t>(raw_best)];
    return Sampled{raw_best, static_cast<float>(logit - log_sum), top_};
  }

  if (params.logprobs) raw_logits_.assign(call.logits.begin(), call.logits.end());
  apply_penalties(call);
  const TokenId token = params.temperature <= 0.0f ? argmax(call.logits) : draw(call);
  if (token < 0) {
    return Error{Code::kInvalidArgument,
                 "no token is left to draw: logit_bias and min_tokens exclude all of them",
                 "logit_bias"};
  }
  Sampled sampled{token, 0.0f, top_};
  if (params.logprobs) {
    sampled.logprob = static_cast<float>(raw_logits_[static_cast<size_t>(token)] - log_sum);
  }
  return sampled;
}

void Sampler::rank_top(std::span<const float> logits, int n, double log_sum) {
  const auto worse = [](const RankedToken& a, const RankedToken& b) {  // heap: the worst on top
    return a.logprob != b.logprob ? a.logprob > b.logprob : a.token < b.token;
  };
  if (n <= 0) return;
  for (size_t i = 0; i < logits.size(); ++i) {
    const RankedToken entry{static_cast<TokenId>(i), logits[i]};
    if (top_.size() == static_cast<size_t>(n)) {
      if (!worse(entry, top_.front())) continue;
      std::ranges::pop_heap(top_, worse);
      top_.back() = entry;
    } else {
      top_.push_back(entry);
    }
    std::ranges::push_heap(top_, worse);
  }
  std::ranges::sort_heap(top_, worse);
  for (RankedToken& entry : top_) entry.logprob = static_cast<float>(entry.logprob - log_sum);
}

void Sampler::apply_penalties(const SampleCall& call) {
  const SamplingParams& params = *call.params;
  const std::span<float> logits = call.logits;
  for (const auto& [token, bias] : params.logit_bias) {
    if (token >= 0 && static_cast<size_t>(token) < logits.size()) {
      logits[static_cast<size_t>(token)] += bias;
    }
  }
  for (const TokenId token : call.banned) {
    if (token >= 0 && static_cast<size_t>(token) < logits.size()) {
      logits[static_cast<size_t>(token)] = kExcluded;
    }
  }
  if (params.repetition_penalty == 1.0f && params.presence_penalty == 0.0f &&
      params.frequency_penalty == 0.0f) {
    return;
  }
  counts_.resize(logits.size());
  seen_.resize(logits.size());
  for (const TokenId token : call.tokens.subspan(static_cast<size_t>(call.n_prompt))) {
    ++counts_[static_cast<size_t>(token)];
  }
  for (const TokenId token : call.tokens) {
    const auto t = static_cast<size_t>(token);
    if (seen_[t] != 0) continue;
    seen_[t] = 1;
    if (params.repetition_penalty != 1.0f) {
      logits[t] = logits[t] > 0 ? logits[t] / params.repetition_penalty
                                : logits[t] * params.repetition_penalty;
    }
    if (counts_[t] > 0) {
      logits[t] -=
          params.presence_penalty + params.frequency_penalty * static_cast<float>(counts_[t]);
    }
  }
  for (const TokenId token : call.tokens) {  // back to zero for the next row
    counts_[static_cast<size_t>(token)] = 0;
    seen_[static_cast<size_t>(token)] = 0;
  }
}

TokenId Sampler::draw(const SampleCall& call) {
  const SamplingParams& params = *call.params;
  const float max = std::ranges::max(call.logits);
  if (max == kExcluded) return -1;
  candidates_.clear();
  candidates_.reserve(call.logits.size());
  for (size_t i = 0; i < call.logits.size(); ++i) {
    // The difference first: a tiny temperature must not overflow both terms to infinity.
    const float logit = (call.logits[i] - max) / params.temperature;
    const double weight = std::exp(logit);
    if (weight > 0.0) candidates_.push_back({logit, static_cast<TokenId>(i), weight, 0.0});
  }
  if (params.top_k > 0) keep_top_k(params.top_k);
  if (params.typical_p < 1.0f) keep_typical(params.typical_p);
  if (params.top_p < 1.0f) keep_top_p(params.top_p);
  if (params.min_p > 0.0f) keep_min_p(params.min_p);

  double total = 0.0;
  for (const Candidate& c : candidates_) total += c.weight;
  const auto token_idx =
      static_cast<uint64_t>(call.tokens.size()) - static_cast<uint64_t>(call.n_prompt);
  double rest = uniform_at(call.seed, token_idx) * total;
  for (const Candidate& c : candidates_) {
    rest -= c.weight;
    if (rest < 0.0) return c.token;
  }
  return candidates_.back().token;  // rounding left a sliver at the end
}

void Sampler::keep_top_k(int k) {
  const auto n = static_cast<size_t>(k);
  if (n >= candidates_.size()) return;
  std::ranges::nth_element(candidates_, candidates_.begin() + k,
                           [](const Candidate& a, const Candidate& b) {
                             return a.logit != b.logit ? a.logit > b.logit : a.token < b.token;
                           });
  candidates_.resize(n);
}

template <class Before>
void Sampler::keep_mass(double mass, Before before) {
  double total = 0.0;
  for (const Candidate& c : candidates_) total += c.weight;
  const double wanted = mass * total;
  // Everything before `low` is kept, everything from `high` on is not; `kept` is the weight before
  // `low`.
  auto low = candidates_.begin();
  auto high = candidates_.end();
  double kept = 0.0;
  while (high - low > 1) {
    const auto middle = low + (high - low) / 2;
    std::nth_element(low, middle, high, before);
    double part = 0.0;
    for (auto it = low; it != middle; ++it) part += it->weight;
    if (kept + part >= wanted) {
      high = middle;
    } else {
      kept += part;
      low = middle;
    }
  }
  candidates_.erase(high, candidates_.end());  // the one that crosses `wanted` stays
}

void Sampler::keep_top_p(double mass) {
  keep_mass(mass, [](const Candidate& a, const Candidate& b) {
    return a.logit != b.logit ? a.logit > b.logit : a.token < b.token;
  });
}

// Locally typical sampling (Meister et al., 2022): tokens whose surprise is nearest to the entropy.
void Sampler::keep_typical(double mass) {
  double total = 0.0;
  double moment = 0.0;  // sum of weight * logit
  for (const Candidate& c : candidates_) {
    total += c.weight;
    moment += c.weight * c.logit;
  }
  const double log_total = std::log(total);
  const double entropy = log_total - moment / total;
  for (Candidate& c : candidates_) c.surprise = std::abs(log_total - c.logit - entropy);
  keep_mass(mass, [](const Candidate& a, const Candidate& b) {
    return a.surprise != b.surprise ? a.surprise < b.surprise : a.token < b.token;
  });
}

void Sampler::keep_min_p(double share) {
  double best = 0.0;
  for (const Candidate& c : candidates_) best = std::max(best, c.weight);
  std::erase_if(candidates_, [&](const Candidate& c) { return c.weight < share * best; });
}

}  // namespace tq::engine
