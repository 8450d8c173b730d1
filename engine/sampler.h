#pragma once
// Sampler: from the logits of one row to a token. Engine thread only; one per engine, since it owns
// the workspace (no allocation per token once it has seen one row).
//
// Order: log-probabilities are reported of the raw logits, before everything below (as vLLM does).
//   1. logit_bias   2. banned tokens (min_tokens)   3. repetition, presence and frequency penalties
//   temperature 0: the largest logit, the lowest id on ties.
//   4. temperature  5. top_k  6. typical_p  7. top_p  8. min_p, each over what the ones before left
//   9. a draw with u = uniform(seed, token_idx): it depends on no other row, nor on earlier draws,
//   so
//      batching and preemption never change it.

#include <cstdint>
#include <span>
#include <vector>

#include "config/ids.h"
#include "config/result.h"
#include "engine/job.h"

namespace tq::engine {

// Uniform in [0, 1), 53 bits, a pure function of its arguments.
double uniform_at(uint64_t seed, uint64_t counter) noexcept;

struct SampleCall {
  std::span<float> logits;  // [vocab_size]; overwritten
  const SamplingParams* params = nullptr;
  uint64_t seed = 0;                // of the sequence
  std::span<const TokenId> tokens;  // prompt, then output
  int64_t n_prompt = 0;
  std::span<const TokenId> banned;  // may not be drawn
};

struct RankedToken {
  TokenId token = 0;
  float logprob = 0.0f;
};

struct Sampled {
  TokenId token = 0;
  float logprob = 0.0f;              // where params->logprobs
  std::span<const RankedToken> top;  // top_logprobs of them, descending; valid until the next call
};

class Sampler {
 public:
  // kInternal: a logit is not finite. kInvalidArgument: nothing is left to draw from.
  Result<Sampled> sample(const SampleCall& call);

 private:
  struct Candidate {
    float logit = 0.0f;  // less the largest, over temperature
    TokenId token = 0;
    float weight = 0.0f;    // exp(logit)
    float surprise = 0.0f;  // of typical_p
  };

  void apply_penalties(const SampleCall& call);
  TokenId draw(const SampleCall& call, float max);
  double fill_weights(std::span<const float> logits, float max, float temperature);
  TokenId draw_from_row(double u, double total) const;
  TokenId draw_from_candidates(double u) const;
  void collect(std::span<const float> logits, const SampleCall& call, float max, double total);
  void keep_typical(double mass);
  void keep_top_p(double mass, double total);
  void keep_min_p(double share);
  double candidate_total() const;

  // Keeps the smallest leading part, in the order `before`, whose weight reaches `wanted`. Expected
  // time is linear: nothing is sorted.
  template <class Before>
  void keep_mass(double wanted, Before before);

  std::vector<float> weights_;      // [vocab_size]
  std::vector<double> block_sums_;  // of 64 weights each
  std::vector<Candidate> candidates_;
  std::vector<RankedToken> top_;
  std::vector<RankedToken> top_k_;
  std::vector<float> raw_logits_;  // the row as it came, where logprobs are asked for
  std::vector<int32_t> counts_;  // [vocab_size], all zero between calls: occurrences in the output
  std::vector<uint8_t> seen_;    // [vocab_size], all zero between calls: in prompt or output
};

}  // namespace tq::engine
