#include "bench/quality/divergence.h"

#include <algorithm>
#include <cmath>

#include "bench/results.h"
#include "config/check.h"

namespace tq::bench {
namespace {

struct Softmax {
  float max = 0.0f;
  double log_sum = 0.0;  // of exp(logit - max)
  size_t top = 0;

  explicit Softmax(std::span<const float> logits) {
    top = static_cast<size_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
    max = logits[top];
    double sum = 0.0;
    for (const float logit : logits) sum += std::exp(logit - max);
    log_sum = std::log(sum);
  }
  double log_probability(float logit) const { return static_cast<double>(logit - max) - log_sum; }
};

struct Moments {
  double mean = 0.0;
  double error = 0.0;  // standard error of the mean

  template <class Values, class Get>
  Moments(const Values& values, Get get) {
    const auto n = static_cast<double>(values.size());
    for (const auto& value : values) mean += get(value);
    mean /= n;
    double variance = 0.0;
    for (const auto& value : values) variance += std::pow(get(value) - mean, 2);
    if (n > 1) error = std::sqrt(variance / (n - 1) / n);
  }
};

}  // namespace

Difference compare(std::span<const float> reference_logits,
                   std::span<const float> logits,
                   TokenId next) {
  TQ_CHECK(reference_logits.size() == logits.size() && next >= 0 &&
               static_cast<size_t>(next) < logits.size(),
           "two vocabularies", reference_logits.size(), logits.size(), next);
  const Softmax p(reference_logits);
  const Softmax q(logits);
  double kl = 0.0;
  for (size_t i = 0; i < logits.size(); ++i) {
    const double log_p = p.log_probability(reference_logits[i]);
    kl += std::exp(static_cast<float>(log_p)) * (log_p - q.log_probability(logits[i]));
  }
  const auto token = static_cast<size_t>(next);
  return {.kl = std::max(kl, 0.0),  // rounding
          .reference_loss = -p.log_probability(reference_logits[token]),
          .loss = -q.log_probability(logits[token]),
          .same_top = p.top == q.top};
}

DivergenceSummary summarise(std::span<const Difference> differences) {
  TQ_CHECK(!differences.empty(), "no positions to summarise", 0);
  std::vector<double> kl;
  for (const Difference& one : differences) kl.push_back(one.kl);
  const Moments mean(differences, [](const Difference& one) { return one.kl; });
  const Moments top(differences, [](const Difference& one) { return one.same_top ? 1.0 : 0.0; });
  const Moments reference(differences, [](const Difference& one) { return one.reference_loss; });
  const Moments loss(differences, [](const Difference& one) { return one.loss; });
  const Moments paired(differences,
                       [](const Difference& one) { return one.loss - one.reference_loss; });
  DivergenceSummary out;
  out.n = static_cast<int64_t>(differences.size());
  out.kl_mean = mean.mean;
  out.kl_mean_error = mean.error;
  out.kl_median = quantile(kl, 0.5);
  out.kl_p99 = quantile(kl, 0.99);
  out.kl_max = *std::max_element(kl.begin(), kl.end());
  out.top1 = top.mean;
  out.top1_error = top.error;
  out.reference_ppl = std::exp(reference.mean);
  out.ppl = std::exp(loss.mean);
  out.ppl_error = out.ppl * loss.error;
  out.ppl_ratio = std::exp(paired.mean);
  out.ppl_ratio_error = out.ppl_ratio * paired.error;
  return out;
}

}  // namespace tq::bench
