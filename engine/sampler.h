#pragma once
// Sampler: from the logits of one row to a token, wherever the row lies. Engine thread only; one
// per engine, since it owns the workspace (no allocation per token once it has seen one row).
//
// Order: log-probabilities are reported of the raw logits, before everything below (as vLLM does).
//   1. logit_bias   2. banned tokens (min_tokens)   3. repetition, presence and frequency penalties
//   temperature 0: the largest logit, the lowest id on ties.
//   4. temperature  5. top_k  6. typical_p  7. top_p  8. min_p, each over what the ones before left
//   9. a draw with u = uniform(seed, token_idx), over what is left by ascending id: it depends on
//      no other row, nor on earlier draws, so batching and preemption never change it.
//
// Of a row on a device no more is asked than a few of its largest logits, the sum of its weights
// and the token that u falls on. Where they do not tell the token, which is seldom, the row is
// needed. The token is the same either way, since sums of weights are exact
// (kernels/token_weight.h).

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "config/ids.h"
#include "config/result.h"
#include "engine/candidates.h"
#include "engine/device_logits.h"
#include "engine/job.h"
#include "engine/logit_changes.h"
#include "kernels/device_select.h"

namespace tq::engine {

// Uniform in [0, 1), 53 bits, a pure function of its arguments.
double uniform_at(uint64_t seed, uint64_t counter) noexcept;

struct RankedToken {
  TokenId token = 0;
  float logprob = 0.0f;
};

struct Sampled {
  TokenId token = 0;
  float logprob = 0.0f;              // where params->logprobs
  std::span<const RankedToken> top;  // top_logprobs of them, descending; valid until the next call
};

// Where one row's part of the questions lies.
struct RowPlace {
  size_t query = 0;
  size_t raw_query = 0;  // where logprobs are asked for
  size_t first_change = 0;
  size_t n_changes = 0;
};

class Sampler {
 public:
  // The logits are overwritten. kInternal: one is not finite. kInvalidArgument: nothing is left to
  // draw from.
  Result<Sampled> sample(const RowContext& row, std::span<float> logits);

  // The same in two parts. The first appends the next row's questions.
  RowPlace ask(const RowContext& row, int32_t n_tokens, RowQuestions& questions);
  // Nothing: the answers do not tell. Then fetch the row, restore() it and sample() it.
  Result<std::optional<Sampled>> conclude(const RowContext& row,
                                          const RowPlace& place,
                                          const RowQuestions& questions,
                                          const kernels::DeviceSelect& answers);
  // A row as it was before its changes.
  static void restore(std::span<float> logits,
                      const RowPlace& place,
                      const RowQuestions& questions,
                      const kernels::DeviceSelect& answers);

 private:
  struct Choice {
    TokenId token = -1;  // -1: none
    float logit = 0.0f;  // after changes
  };

  // The logarithm of the sum of e^logit. Sets top_.
  double rank_logprobs(const SamplingParams& params, std::span<const float> logits, float max);
  std::optional<double> rank_logprobs(const SamplingParams& params, const kernels::RowAnswer& raw);
  double finish_logprobs(float max, double total);

  TokenId draw(const RowContext& row, std::span<const float> logits, float max);
  double fill_weights(std::span<const float> logits, const WeightScale& scale);
  TokenId draw_from_weights(double target) const noexcept;
  void collect(const SamplingParams& params, std::span<const float> logits, double total);

  std::optional<Choice> choose(const RowContext& row, const kernels::RowAnswer& answer);

  LogitChanges changes_of_;
  std::vector<kernels::LogitChange> changes_;  // of sample()'s row
  std::vector<float> raw_;                     // the logits that they change
  std::vector<float> weights_;                 // [vocab_size]
  std::vector<double> block_sums_;             // of 64 weights each
  Candidates candidates_;
  std::vector<RankedToken> top_;
  std::vector<RankedToken> top_k_;
};

}  // namespace tq::engine
