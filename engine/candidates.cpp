#include "engine/candidates.h"

#include <algorithm>
#include <cmath>

#include "config/check.h"

namespace tq::engine {

namespace {

using Candidate = Candidates::Candidate;

bool is_larger(const Candidate& a, const Candidate& b) {
  return a.logit != b.logit ? a.logit > b.logit : a.token < b.token;
}

}  // namespace

void Candidates::sort_by_id() {
  if (!is_sorted_) std::ranges::sort(all_, {}, &Candidate::token);
  is_sorted_ = true;
}

double Candidates::total() const noexcept {
  double total = 0.0;
  for (const Candidate& c : all_) total += c.weight;
  return total;
}

void Candidates::filter(const SamplingParams& params, const WeightScale& scale, double row_total) {
  TQ_CHECK(!all_.empty(), "nothing to draw from");
  if (params.top_k > 0) keep_top_k(static_cast<size_t>(params.top_k));
  if (params.typical_p < 1.0f) keep_typical(params.typical_p, scale);
  if (params.top_p < 1.0f) {
    const bool is_cut = params.top_k > 0 || params.typical_p < 1.0f;
    keep_mass(params.top_p * (is_cut ? total() : row_total), is_larger);
  }
  if (params.min_p > 0.0f) {
    const float best = std::ranges::max(all_, {}, &Candidate::weight).weight;
    std::erase_if(all_, [&](const Candidate& c) { return c.weight < params.min_p * best; });
  }
}

const Candidate& Candidates::draw(double u) {
  sort_by_id();
  const double target = u * total();
  double through = 0.0;
  const auto found = std::ranges::find_if(all_, [&](const Candidate& c) {
    through += c.weight;
    return through > target;
  });
  TQ_CHECK(found != all_.end(), "u is not below 1, or nothing is left", u, all_.size());
  return *found;
}

void Candidates::keep_top_k(size_t k) {
  if (k >= all_.size()) return;
  scratch_ = all_;
  const auto last = scratch_.begin() + static_cast<ptrdiff_t>(k) - 1;
  std::nth_element(scratch_.begin(), last, scratch_.end(), is_larger);
  keep_through(*last, is_larger);
}

// Locally typical sampling (Meister et al., 2022): tokens whose surprise is nearest to the entropy,
// in bits.
void Candidates::keep_typical(double mass, const WeightScale& scale) {
  sort_by_id();  // the moment's sum is not exact
  const double sum = total();
  const auto log_weight = [&](const Candidate& c) {
    return double{(c.logit - scale.max) * scale.factor};
  };
  double moment = 0.0;
  for (const Candidate& c : all_) moment += c.weight * log_weight(c);
  const double log_sum = std::log2(sum);
  const double entropy = log_sum - moment / sum;
  for (Candidate& c : all_) {
    c.surprise = static_cast<float>(std::abs(log_sum - log_weight(c) - entropy));
  }
  keep_mass(mass * sum, [](const Candidate& a, const Candidate& b) {
    return a.surprise != b.surprise ? a.surprise < b.surprise : a.token < b.token;
  });
}

template <class Before>
void Candidates::keep_mass(double wanted, Before before) {
  scratch_ = all_;
  // What comes before `low` is kept, what from `high` on is not; `kept` is the weight before `low`.
  auto low = scratch_.begin();
  auto high = scratch_.end();
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
  keep_through(*low, before);  // the one that crosses `wanted` stays
}

template <class Before>
void Candidates::keep_through(const Candidate& last, Before before) {
  std::erase_if(all_, [&](const Candidate& c) { return before(last, c); });
}

}  // namespace tq::engine
