#pragma once
// Candidates: the tokens of one row that may yet be drawn, and the filters that leave fewer of
// them. Weights are those of kernels/token_weight.h, whose sums are exact: what is kept, and what
// is drawn, does not depend on how the candidates were found. Engine thread only.

#include <cstddef>
#include <span>
#include <vector>

#include "config/ids.h"
#include "engine/job.h"
#include "kernels/token_weight.h"

namespace tq::engine {

// How a row's logits become weights.
struct WeightScale {
  float max = 0.0f;     // the row's largest logit
  float factor = 0.0f;  // of token_weight()

  static WeightScale of(float max, float temperature) noexcept {
    return {.max = max, .factor = kernels::weight_factor(temperature)};
  }
  float weight(float logit) const noexcept { return kernels::token_weight(logit, max, factor); }
};

class Candidates {
 public:
  struct Candidate {
    float logit = 0.0f;
    TokenId token = 0;
    float weight = 0.0f;
    float surprise = 0.0f;  // of typical_p
  };

  void clear() {
    all_.clear();
    is_sorted_ = true;
  }
  // In any order. A token without weight is none.
  void add(Candidate candidate) {
    if (candidate.weight == 0.0f) return;
    is_sorted_ = is_sorted_ && (all_.empty() || all_.back().token < candidate.token);
    all_.push_back(candidate);
  }
  double total() const noexcept;

  // Top_k, typical_p, top_p and min_p, each over what the ones before left. row_total: the weight
  // of all of the row, of which top_p is a share where nothing was cut before.
  void filter(const SamplingParams& params, const WeightScale& scale, double row_total);

  // The first, by ascending id, with which the sum of weights exceeds u * total(); u is in [0, 1).
  const Candidate& draw(double u);

 private:
  void sort_by_id();
  void keep_top_k(size_t k);
  void keep_typical(double mass, const WeightScale& scale);
  // Keeps the shortest leading part, in the order `before`, whose weight reaches `wanted`. Expected
  // time is linear: nothing is sorted.
  template <class Before>
  void keep_mass(double wanted, Before before);
  template <class Before>
  void keep_through(const Candidate& last, Before before);

  std::vector<Candidate> all_;
  std::vector<Candidate> scratch_;
  bool is_sorted_ = true;  // by id
};

}  // namespace tq::engine
