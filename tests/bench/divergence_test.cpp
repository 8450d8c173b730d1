// Divergence of next-token distributions against sums done by hand.

#include "bench/quality/divergence.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <vector>

namespace tq::bench {
namespace {

// Logits of a distribution, shifted: a constant changes nothing.
std::vector<float> logits_of(const std::vector<double>& p, double shift) {
  std::vector<float> logits;
  for (const double value : p) logits.push_back(static_cast<float>(std::log(value) + shift));
  return logits;
}

}  // namespace

TEST_CASE("a distribution does not differ from itself, whatever its shift") {
  const std::vector<double> p{0.5, 0.25, 0.125, 0.125};
  const Difference same = compare(logits_of(p, 0.0), logits_of(p, 80.0), 2);
  // Logits of size 80 are rounded by 2^-18; KL sees the square of that.
  CHECK(same.kl < 1e-6);
  CHECK(same.same_top);
  CHECK(same.reference_loss == Approx(std::log(8.0)).epsilon(1e-6));
  CHECK(same.loss == Approx(std::log(8.0)).epsilon(1e-5));
}

TEST_CASE("KL divergence is that of the definition, with the reference first") {
  const std::vector<double> p{0.7, 0.2, 0.1};
  const std::vector<double> q{0.2, 0.5, 0.3};
  double kl = 0.0;
  for (size_t i = 0; i < p.size(); ++i) kl += p[i] * std::log(p[i] / q[i]);
  const Difference found = compare(logits_of(p, 3.0), logits_of(q, -2.0), 1);
  CHECK(found.kl == Approx(kl).epsilon(1e-5));
  CHECK_FALSE(found.same_top);
  CHECK(found.reference_loss == Approx(-std::log(0.2)).epsilon(1e-5));
  CHECK(found.loss == Approx(-std::log(0.5)).epsilon(1e-5));
}

TEST_CASE("a summary is that of its positions") {
  std::vector<Difference> all;
  for (int i = 1; i <= 100; ++i) {
    all.push_back({.kl = i / 100.0, .reference_loss = 1.0, .loss = 1.5, .same_top = i <= 75});
  }
  const DivergenceSummary summary = summarise(all);
  CHECK(summary.n == 100);
  CHECK(summary.kl_mean == Approx(0.505));
  CHECK(summary.kl_mean_error == Approx(0.29011 / 10).epsilon(1e-3));  // sample deviation / sqrt(n)
  CHECK(summary.kl_median == Approx(0.50));
  CHECK(summary.kl_p99 == Approx(0.99));
  CHECK(summary.kl_max == Approx(1.0));
  CHECK(summary.top1 == Approx(0.75));
  CHECK(summary.top1_error == Approx(std::sqrt(0.75 * 0.25 / 99)));
  CHECK(summary.ppl == Approx(std::exp(1.5)));
  CHECK(summary.ppl_ratio == Approx(std::exp(0.5)));
  CHECK(summary.ppl_ratio_error == Approx(0.0).margin(1e-12));
}

}  // namespace tq::bench
