#pragma once
// What a quantiser loses, measured on seeded random vectors beside what the theory says. Main
// thread only.

#include <cstdint>
#include <string>
#include <vector>

#include "config/result.h"

namespace tq::bench {

struct AccuracyOptions {
  int dim = 128;
  int bits = 4;
  int n_pairs = 4000;  // vectors x, each with a query of its own
  uint64_t seed = 1;
};

// Mean of n independent values and the half width of its 95 % confidence interval.
struct Estimate {
  double mean = 0.0;
  double half_width = 0.0;
};

// One quantiser at one width. Errors of inner products are of unit vectors: e = <q, x~> - <q, x>.
struct AccuracyRow {
  std::string quantiser;  // "mse plain", "KV row codec", "ip" and so on
  int dim = 0;
  int bits = 0;
  double bits_per_value = 0.0;
  Estimate mse{};           // |x - x~|^2 / |x|^2
  double mse_theory = 0.0;  // 0: none stated
  double mse_bound = 0.0;   // Theorem 1; 0: none stated
  Estimate slope{};         // of <q, x~> on <q, x>: 1 is unbiased
  double slope_theory = 0.0;
  double error_variance = 0.0;  // mean of e^2 over unrelated pairs, times dim
  double error_theory = 0.0;    // 0: none stated
};

// The quantisers of quant/ that exist at these bits, on the same vectors.
Result<std::vector<AccuracyRow>> measure_accuracy(const AccuracyOptions& options);

// Relative MSE of vectors with one or a few large coordinates after one and after two Hadamard
// rounds.
struct SpikeRow {
  int dim = 0;
  int bits = 0;
  int n_spikes = 0;
  Estimate one_round{};
  Estimate two_rounds{};
  double theory = 0.0;
};
Result<std::vector<SpikeRow>> measure_spikes(const AccuracyOptions& options);

}  // namespace tq::bench
