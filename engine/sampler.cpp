#include "engine/sampler.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "config/check.h"
#include "config/limits.h"
#include "kernels/token_weight.h"

namespace tq::engine {

namespace {

constexpr float kBelowAll = -std::numeric_limits<float>::infinity();

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
  best.fill(kBelowAll);
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
  float top = kBelowAll;
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

bool is_better(const RankedToken& a, const RankedToken& b) {
  return a.logprob != b.logprob ? a.logprob > b.logprob : a.token < b.token;
}

// The n largest logits, descending, the lower id first on ties; `logprob` holds the logit. A heap
// of n: most of the row fails one comparison.
void rank_top(std::span<const float> logits, size_t n, std::vector<RankedToken>& out) {
  out.clear();
  for (size_t i = 0; i < logits.size() && n > 0; ++i) {
    const RankedToken entry{static_cast<TokenId>(i), logits[i]};
    if (out.size() == n) {
      if (!is_better(entry, out.front())) continue;
      std::ranges::pop_heap(out, is_better);
      out.back() = entry;
    } else {
      out.push_back(entry);
    }
    std::ranges::push_heap(out, is_better);
  }
  std::ranges::sort_heap(out, is_better);
}

constexpr size_t kBlock = 64;  // weights per partial sum

// Up to so many of top_k a heap is kept; beyond, the row is partitioned.
constexpr int kHeapMax = 1024;

static_assert(limits::kTopLogprobsMax <= kernels::kSelectTopMax);

Error not_finite() {
  return {Code::kInternal, "the model's logits are not finite for this sequence", "logits"};
}

Error nothing_left() {
  return {Code::kInvalidArgument,
          "no token is left to draw: logit_bias and min_tokens exclude all of them", "logit_bias"};
}

double uniform_of(const RowContext& row) {
  return uniform_at(row.seed, row.tokens.size() - static_cast<uint64_t>(row.n_prompt));
}

bool draws_from_all(const SamplingParams& params) {
  return params.top_k <= 0 && params.typical_p >= 1.0f && params.top_p >= 1.0f &&
         params.min_p <= 0.0f;
}

// Whether a device can be asked for the top k.
bool has_short_top(const SamplingParams& params) {
  return params.top_k > 0 && params.top_k <= kernels::kSelectTopMax;
}

// Of a token, given its logit after the changes.
float raw_logit(TokenId token,
                float logit,
                std::span<const kernels::LogitChange> changes,
                std::span<const float> raw) {
  const auto change = std::ranges::find(changes, token, &kernels::LogitChange::token);
  return change == changes.end() ? logit : raw[static_cast<size_t>(change - changes.begin())];
}

// Whether the filters leave none but tokens of the answer, which weigh `mass` together, the one
// with the least logit `lightest`.
bool tells(const SamplingParams& params,
           const kernels::RowAnswer& answer,
           double mass,
           float lightest) {
  if (has_short_top(params)) return true;
  if (mass == answer.total) return true;  // exact: nothing else has weight
  if (params.top_k > 0 || params.typical_p < 1.0f) return false;
  if (params.top_p < 1.0f && mass >= params.top_p * answer.total) return true;
  // A lesser logit may weigh a rounding more.
  return lightest + 2 * kernels::kWeightQuantum < 0.999f * params.min_p;
}

}  // namespace

double uniform_at(uint64_t seed, uint64_t counter) noexcept {
  const uint64_t stream = mix(seed + 0x9e3779b97f4a7c15ull);
  const uint64_t bits = mix(stream + (counter + 1) * 0xd1342543de82ef95ull);
  return static_cast<double>(mix(bits ^ stream) >> 11) * 0x1.0p-53;
}

Result<Sampled> Sampler::sample(const RowContext& row, std::span<float> logits) {
  const SamplingParams& params = *row.params;
  TQ_CHECK(!logits.empty() && row.n_prompt >= 0 &&
               static_cast<size_t>(row.n_prompt) <= row.tokens.size(),
           "bad sampling call", logits.size(), row.n_prompt, row.tokens.size());
  const TokenId raw_best = argmax</*kChecked=*/true>(logits);
  if (raw_best < 0) return not_finite();
  const float raw_max = logits[static_cast<size_t>(raw_best)];
  const double log_sum = params.logprobs ? rank_logprobs(params, logits, raw_max) : 0.0;

  changes_.clear();
  changes_of_.add(row, static_cast<int32_t>(logits.size()), 0, changes_);
  raw_.clear();
  for (const kernels::LogitChange& change : changes_) {
    float& logit = logits[static_cast<size_t>(change.token)];
    raw_.push_back(logit);
    logit = kernels::changed_logit(logit, change);
  }
  TokenId token = changes_.empty() ? raw_best : argmax</*kChecked=*/false>(logits);
  const float max = logits[static_cast<size_t>(token)];
  if (max == kernels::kExcludedLogit) return nothing_left();
  if (params.temperature > 0.0f) token = draw(row, logits, max);
  if (!params.logprobs) return Sampled{.token = token, .logprob = 0.0f, .top = {}};
  const float raw = raw_logit(token, logits[static_cast<size_t>(token)], changes_, raw_);
  return Sampled{token, static_cast<float>(raw - log_sum), top_};
}

double Sampler::rank_logprobs(const SamplingParams& params,
                              std::span<const float> logits,
                              float max) {
  rank_top(logits, static_cast<size_t>(params.top_logprobs), top_);
  return finish_logprobs(max, fill_weights(logits, WeightScale::of(max, 1.0f)));
}

double Sampler::finish_logprobs(float max, double total) {
  const double log_sum = max + std::log(total);
  for (RankedToken& entry : top_) entry.logprob = static_cast<float>(entry.logprob - log_sum);
  return log_sum;
}

TokenId Sampler::draw(const RowContext& row, std::span<const float> logits, float max) {
  const SamplingParams& params = *row.params;
  const WeightScale scale = WeightScale::of(max, params.temperature);
  const double total = fill_weights(logits, scale);
  const double u = uniform_of(row);
  if (draws_from_all(params)) return draw_from_weights(u * total);
  collect(params, logits, total);
  candidates_.filter(params, scale, total);
  return candidates_.draw(u).token;
}

double Sampler::fill_weights(std::span<const float> logits, const WeightScale& scale) {
  constexpr size_t kLanes = 8;
  TQ_CHECK(logits.size() <= limits::kVocabMax, "too many tokens", logits.size());
  weights_.resize(logits.size());
  block_sums_.clear();
  float* const weights = weights_.data();
  for (size_t i = 0; i < logits.size(); ++i) weights[i] = scale.weight(logits[i]);
  double total = 0.0;
  for (size_t begin = 0; begin < weights_.size(); begin += kBlock) {
    const size_t end = std::min(begin + kBlock, weights_.size());
    std::array<double, kLanes> sums{};
    size_t i = begin;
    for (; i + kLanes <= end; i += kLanes) {
      for (size_t lane = 0; lane < kLanes; ++lane) sums[lane] += weights[i + lane];
    }
    double sum = 0.0;
    for (; i < end; ++i) sum += weights[i];
    for (const double lane : sums) sum += lane;
    block_sums_.push_back(sum);
    total += sum;
  }
  return total;
}

// The first token with which the sum of weights exceeds the target. Whole blocks are passed by
// their sums, so this reads little of the row.
TokenId Sampler::draw_from_weights(double target) const noexcept {
  double through = 0.0;
  size_t block = 0;
  while (through + block_sums_[block] <= target) through += block_sums_[block++];
  size_t i = block * kBlock;
  while (through + weights_[i] <= target) through += weights_[i++];
  return static_cast<TokenId>(i);
}

// The tokens that the filters choose from: the top k, or all that top_p and min_p could keep.
void Sampler::collect(const SamplingParams& params, std::span<const float> logits, double total) {
  const auto add = [&](TokenId token) {
    const auto t = static_cast<size_t>(token);
    candidates_.add({.logit = logits[t], .token = token, .weight = weights_[t]});
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
}

// ---- Rows on a device.

RowPlace Sampler::ask(const RowContext& row, int32_t n_tokens, RowQuestions& questions) {
  const SamplingParams& params = *row.params;
  const auto row_idx = static_cast<int32_t>(questions.queries.size());
  RowPlace place{.query = questions.queries.size(),
                 .raw_query = questions.raw_queries.size(),
                 .first_change = questions.changes.size()};
  changes_of_.add(row, n_tokens, row_idx, questions.changes);
  place.n_changes = questions.changes.size() - place.first_change;
  if (params.logprobs) {
    questions.raw_queries.push_back({.row = row_idx,
                                     .n_top = std::max(params.top_logprobs, 1),
                                     .factor = kernels::weight_factor(1.0f)});
  }
  kernels::RowQuery query{.row = row_idx};
  if (params.temperature > 0.0f) {
    if (draws_from_all(params)) {
      query.u = uniform_of(row);
    } else {
      query.n_top = has_short_top(params) ? params.top_k : kernels::kSelectTopMax;
    }
    if (!has_short_top(params)) query.factor = kernels::weight_factor(params.temperature);
  }
  questions.queries.push_back(query);
  return place;
}

Result<std::optional<Sampled>> Sampler::conclude(const RowContext& row,
                                                 const RowPlace& place,
                                                 const RowQuestions& questions,
                                                 const kernels::DeviceSelect& answers) {
  const kernels::RowAnswer answer = answers.answer(place.query);
  if (!answer.is_finite) return not_finite();
  if (answer.max == kernels::kExcludedLogit) return nothing_left();
  const std::optional<Choice> choice = choose(row, answer);
  if (!choice) return std::optional<Sampled>();
  if (!row.params->logprobs) return std::optional<Sampled>({choice->token, 0.0f, {}});
  const auto log_sum = rank_logprobs(*row.params, answers.raw_answer(place.raw_query));
  if (!log_sum) return std::optional<Sampled>();
  const float raw =
      raw_logit(choice->token, choice->logit,
                std::span(questions.changes).subspan(place.first_change, place.n_changes),
                answers.raw_logits().subspan(place.first_change, place.n_changes));
  return std::optional<Sampled>({choice->token, static_cast<float>(raw - *log_sum), top_});
}

void Sampler::restore(std::span<float> logits,
                      const RowPlace& place,
                      const RowQuestions& questions,
                      const kernels::DeviceSelect& answers) {
  for (size_t i = place.first_change; i < place.first_change + place.n_changes; ++i) {
    logits[static_cast<size_t>(questions.changes[i].token)] = answers.raw_logits()[i];
  }
}

std::optional<double> Sampler::rank_logprobs(const SamplingParams& params,
                                             const kernels::RowAnswer& raw) {
  const auto n = static_cast<size_t>(params.top_logprobs);
  if (n > 0 && raw.top.empty()) return std::nullopt;
  top_.clear();
  for (const kernels::TokenLogit& entry : raw.top) top_.push_back({entry.token, entry.logit});
  std::ranges::sort(top_, is_better);
  top_.resize(std::min(n, top_.size()));
  return finish_logprobs(raw.max, raw.total);
}

std::optional<Sampler::Choice> Sampler::choose(const RowContext& row,
                                               const kernels::RowAnswer& answer) {
  const SamplingParams& params = *row.params;
  const bool draws = params.temperature > 0.0f;
  if (draws && draws_from_all(params)) return Choice{answer.drawn, answer.drawn_logit};
  if (answer.top.empty()) return std::nullopt;
  if (!draws) {
    Choice best;
    for (const auto& [token, logit] : answer.top) {
      if (logit == answer.max && (best.token < 0 || token < best.token)) best = {token, logit};
    }
    return best;
  }
  const WeightScale scale = WeightScale::of(answer.max, params.temperature);
  candidates_.clear();
  float least = answer.max;
  for (const auto& [token, logit] : answer.top) {
    candidates_.add({.logit = logit, .token = token, .weight = scale.weight(logit)});
    least = std::min(least, logit);
  }
  if (!tells(params, answer, candidates_.total(), scale.weight(least))) return std::nullopt;
  candidates_.filter(params, scale, answer.total);
  const Candidates::Candidate& drawn = candidates_.draw(uniform_of(row));
  return Choice{drawn.token, drawn.logit};
}

}  // namespace tq::engine
