#include "engine/sampler.h"

#include <algorithm>
#include <array>
#include <bit>
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

// The largest logit, the lowest id on ties; -1 if there is none, or if kChecked and one is not
// finite. Eight independent lanes, so that the compiler uses vectors: this is all that a greedy row
// costs.
template <bool kChecked>
TokenId argmax(std::span<const float> logits) noexcept {
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
      if constexpr (kChecked) taint[lane] += x - x;
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
    if constexpr (kChecked) any_taint += logits[i] - logits[i];
    consider(logits[i], static_cast<int32_t>(i));
  }
  return any_taint == 0.0f ? token : -1;
}

// The n largest logits, descending, the lower id first on ties; `logprob` holds the logit. A heap
// of n: most of the row fails one comparison.
void rank_top(std::span<const float> logits, size_t n, std::vector<RankedToken>& out) {
  const auto better = [](const RankedToken& a, const RankedToken& b) {
    return a.logprob != b.logprob ? a.logprob > b.logprob : a.token < b.token;
  };
  out.clear();
  for (size_t i = 0; i < logits.size() && n > 0; ++i) {
    const RankedToken entry{static_cast<TokenId>(i), logits[i]};
    if (out.size() == n) {
      if (!better(entry, out.front())) continue;
      std::ranges::pop_heap(out, better);
      out.back() = entry;
    } else {
      out.push_back(entry);
    }
    std::ranges::push_heap(out, better);
  }
  std::ranges::sort_heap(out, better);
}

// exp(x) for x <= 0, as straight code that compilers turn into vectors (std::exp stays a call). x =
// n ln 2 + r with |r| <= 0.35; the Taylor polynomial of degree 7 leaves r^8/8! < 6e-9, so rounding
// dominates: a few 1e-7 relative. Below -87, where floats become subnormal, the weight is 0.
inline float exp_nonpositive(float x) noexcept {
  constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer
  // Magnitudes of floats compare as integers, and integer comparisons are no branches.
  constexpr int32_t kMost = std::bit_cast<int32_t>(87.0f);
  const int32_t magnitude = std::bit_cast<int32_t>(x) & 0x7fffffff;
  const int32_t keep = -static_cast<int32_t>(magnitude <= kMost);  // all bits, or none
  const float clamped = -std::bit_cast<float>(magnitude & keep);
  const float n = (clamped * 1.44269504f + kRound) - kRound;
  const float r = (clamped - n * 0.693359375f) + n * 2.12194440e-4f;  // ln 2 in two parts
  float p = 1.0f / 5040;
  p = p * r + 1.0f / 720;
  p = p * r + 1.0f / 120;
  p = p * r + 1.0f / 24;
  p = p * r + 1.0f / 6;
  p = p * r + 0.5f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  const float scale = std::bit_cast<float>((static_cast<int32_t>(n) + 127) << 23);
  return std::bit_cast<float>(std::bit_cast<int32_t>(p * scale) & keep);
}

constexpr size_t kBlock = 64;  // weights per partial sum

// Up to so many of top_k a heap is kept; beyond, the row is partitioned.
constexpr int kHeapMax = 1024;

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
  const TokenId raw_best = argmax</*kChecked=*/true>(call.logits);
  if (raw_best < 0) {
    return Error{Code::kInternal, "the model's logits are not finite for this sequence", "logits"};
  }
  double log_sum = 0.0;
  top_.clear();
  if (params.logprobs) {
    const float max = call.logits[static_cast<size_t>(raw_best)];
    log_sum = max + std::log(fill_weights(call.logits, max, 1.0f));
    rank_top(call.logits, static_cast<size_t>(params.top_logprobs), top_);
    for (RankedToken& entry : top_) entry.logprob = static_cast<float>(entry.logprob - log_sum);
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
  TokenId token = plain ? raw_best : argmax</*kChecked=*/false>(call.logits);
  if (token >= 0 && params.temperature > 0.0f)
    token = draw(call, call.logits[static_cast<size_t>(token)]);
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

TokenId Sampler::draw(const SampleCall& call, float max) {
  const SamplingParams& params = *call.params;
  const double total = fill_weights(call.logits, max, params.temperature);
  const auto token_idx =
      static_cast<uint64_t>(call.tokens.size()) - static_cast<uint64_t>(call.n_prompt);
  const double u = uniform_at(call.seed, token_idx);
  if (params.top_k <= 0 && params.typical_p >= 1.0f && params.top_p >= 1.0f &&
      params.min_p <= 0.0f) {
    return draw_from_row(u, total);
  }
  collect(call.logits, call, max, total);
  const bool is_cut = params.top_k > 0 || params.typical_p < 1.0f;
  if (params.typical_p < 1.0f) keep_typical(params.typical_p);
  if (params.top_p < 1.0f) keep_top_p(params.top_p, is_cut ? candidate_total() : total);
  if (params.min_p > 0.0f) keep_min_p(params.min_p);
  return draw_from_candidates(u);
}

double Sampler::fill_weights(std::span<const float> logits, float max, float temperature) {
  constexpr size_t kLanes = 8;
  weights_.resize(logits.size());
  block_sums_.clear();
  // The difference first: a tiny temperature must not overflow both terms to infinity.
  float* const weights = weights_.data();
  for (size_t i = 0; i < logits.size(); ++i) {
    weights[i] = exp_nonpositive((logits[i] - max) / temperature);
  }
  double total = 0.0;
  for (size_t begin = 0; begin < weights_.size(); begin += kBlock) {
    const size_t end = std::min(begin + kBlock, weights_.size());
    std::array<float, kLanes> sums{};
    size_t i = begin;
    for (; i + kLanes <= end; i += kLanes) {
      for (size_t lane = 0; lane < kLanes; ++lane) sums[lane] += weights[i + lane];
    }
    double sum = 0.0;
    for (; i < end; ++i) sum += weights[i];
    for (const float lane : sums) sum += lane;
    block_sums_.push_back(sum);
    total += sum;
  }
  return total;
}

// Whole blocks are passed by their sums, so a draw reads little of the row.
TokenId Sampler::draw_from_row(double u, double total) const {
  double rest = u * total;
  size_t block = 0;
  while (block + 1 < block_sums_.size() && rest >= block_sums_[block]) rest -= block_sums_[block++];
  // Rounding may leave a sliver behind the block's last token: then it is the last one that has
  // weight.
  TokenId last = -1;
  for (size_t i = block * kBlock; i < std::min((block + 1) * kBlock, weights_.size()); ++i) {
    if (weights_[i] == 0.0f) continue;
    last = static_cast<TokenId>(i);
    rest -= weights_[i];
    if (rest < 0.0) return last;
  }
  for (size_t i = block * kBlock; last < 0 && i > 0; --i) {  // the sliver of a block without weight
    if (weights_[i - 1] > 0.0f) last = static_cast<TokenId>(i - 1);
  }
  return last;
}

TokenId Sampler::draw_from_candidates(double u) const {
  double rest = u * candidate_total();
  for (const Candidate& c : candidates_) {
    rest -= c.weight;
    if (rest < 0.0) return c.token;
  }
  return candidates_.back().token;  // rounding left a sliver at the end
}

double Sampler::candidate_total() const {
  double total = 0.0;
  for (const Candidate& c : candidates_) total += c.weight;
  return total;
}

// The tokens that the filters choose from: the top k, or all that top_p and min_p could keep.
void Sampler::collect(std::span<const float> logits,
                      const SampleCall& call,
                      float max,
                      double total) {
  const SamplingParams& params = *call.params;
  const auto add = [&](TokenId token) {
    const auto t = static_cast<size_t>(token);
    if (weights_[t] == 0.0f) return;
    candidates_.push_back({(logits[t] - max) / params.temperature, token, weights_[t], 0.0f});
  };
  candidates_.clear();
  if (params.top_k > 0 && params.top_k <= kHeapMax) {
    rank_top(logits, static_cast<size_t>(params.top_k), top_k_);
    for (const RankedToken& entry : top_k_) add(entry.token);
    return;
  }
  double least = 0.0;
  if (params.top_k <= 0 && params.typical_p >= 1.0f) {
    // All tokens no heavier than w weigh at most size * w together. If that is less than 1 - top_p
    // of the whole, the heavier ones reach top_p without them. The largest weight is 1. The factor
    // is for rounding.
    const auto size = static_cast<double>(logits.size());
    least = 0.999 * std::max((1.0 - params.top_p) * total / size, double{params.min_p});
  }
  for (size_t i = 0; i < logits.size(); ++i) {
    if (weights_[i] >= least) add(static_cast<TokenId>(i));
  }
  const auto k = static_cast<size_t>(std::max(params.top_k, 0));
  if (k == 0 || k >= candidates_.size()) return;
  std::ranges::nth_element(candidates_, candidates_.begin() + params.top_k,
                           [](const Candidate& a, const Candidate& b) {
                             return a.logit != b.logit ? a.logit > b.logit : a.token < b.token;
                           });
  candidates_.resize(k);
}

template <class Before>
void Sampler::keep_mass(double wanted, Before before) {
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

void Sampler::keep_top_p(double mass, double total) {
  keep_mass(mass * total, [](const Candidate& a, const Candidate& b) {
    return a.logit != b.logit ? a.logit > b.logit : a.token < b.token;
  });
}

// Locally typical sampling (Meister et al., 2022): tokens whose surprise is nearest to the entropy.
void Sampler::keep_typical(double mass) {
  const double total = candidate_total();
  double moment = 0.0;  // sum of weight * logit
  for (const Candidate& c : candidates_) moment += double{c.weight} * c.logit;
  const double log_total = std::log(total);
  const double entropy = log_total - moment / total;
  for (Candidate& c : candidates_) {
    c.surprise = static_cast<float>(std::abs(log_total - c.logit - entropy));
  }
  keep_mass(mass * total, [](const Candidate& a, const Candidate& b) {
    return a.surprise != b.surprise ? a.surprise < b.surprise : a.token < b.token;
  });
}

void Sampler::keep_min_p(double share) {
  float best = 0.0f;
  for (const Candidate& c : candidates_) best = std::max(best, c.weight);
  std::erase_if(candidates_, [&](const Candidate& c) { return c.weight < share * best; });
}

}  // namespace tq::engine
