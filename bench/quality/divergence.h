#pragma once
// Divergence: how far one model's next-token distributions are from another's on the same text.
// Pure; one thread.
//
// KL(p || q) = sum_t p_t (log p_t - log q_t) in nats, p the reference (16-bit KV), q the one under
// test, t over the vocabulary.

#include <cstdint>
#include <span>
#include <vector>

#include "config/ids.h"

namespace tq::bench {

// Of one position.
struct Difference {
  double kl = 0.0;              // nats, >= 0
  double reference_loss = 0.0;  // -log p(next token), nats
  double loss = 0.0;            // -log q(next token)
  bool same_top = false;        // argmax q == argmax p (ties: the lower id)
};

Difference compare(std::span<const float> reference_logits,
                   std::span<const float> logits,
                   TokenId next);

struct DivergenceSummary {
  int64_t n = 0;
  double kl_mean = 0.0;
  double kl_mean_error = 0.0;  // standard error
  double kl_median = 0.0;
  double kl_p99 = 0.0;
  double kl_max = 0.0;
  double top1 = 0.0;        // share of positions
  double top1_error = 0.0;  // standard error
  double reference_ppl = 0.0;
  double ppl = 0.0;
  double ppl_error = 0.0;        // standard error
  double ppl_ratio = 0.0;        // ppl / reference_ppl
  double ppl_ratio_error = 0.0;  // of the paired differences: much smaller than ppl_error
};

// At least one position.
DivergenceSummary summarise(std::span<const Difference> differences);

}  // namespace tq::bench
