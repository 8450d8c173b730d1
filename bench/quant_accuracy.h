#pragma once
// What a quantiser loses, measured on seeded random vectors beside what the theory says. Main
// thread only.

#include <cstdint>
#include <string>
#include <vector>

#include "config/result.h"

namespace tq::bench {

// Vectors to code, each with a query of its own; any length but zero.
struct VectorSample {
  int dim = 0;
  std::vector<float> x;  // [n, dim]
  std::vector<float> q;  // [n, dim]

  int n_rows() const { return static_cast<int>(x.size() / static_cast<size_t>(dim)); }
};

// Independent directions, uniform on the sphere.
VectorSample random_sample(int n_rows, int dim, uint64_t seed);

struct AccuracyOptions {
  int dim = 128;
  int bits = 4;
  uint64_t seed = 1;  // of rotations, projections and spikes
};

// Mean of n independent values and the half width of its 95 % confidence interval.
struct Estimate {
  double mean = 0.0;
  double half_width = 0.0;
};

// One quantiser at one width. Inner products are those of unit vectors: with x and q scaled to
// length 1, e = <q, x~> - <q, x>.
struct AccuracyRow {
  std::string quantiser;  // "mse plain", "KV keys", "ip" and so on
  int dim = 0;
  int bits = 0;
  double bits_per_value = 0.0;
  Estimate mse{};           // |x - x~|^2 / |x|^2
  double mse_theory = 0.0;  // 0: none stated
  double mse_bound = 0.0;   // Theorem 1; 0: none stated
  Estimate slope{};         // of <q, x~> on <q, x>: 1 is unbiased
  double slope_theory = 0.0;
  Estimate error{};           // e, over unrelated pairs
  Estimate error_square{};    // e^2 over unrelated pairs, times dim
  double error_theory = 0.0;  // of error_square; 0: none stated
  double error_bound = 0.0;   // Theorem 2, times dim; 0: none stated
};

// Whether the KV store has a format of so many bits for rows of that dimension.
bool store_takes(int dim, int bits);

// Theorem 3: no quantiser of that many bits has a smaller mse, nor a smaller error_square.
double lower_bound(int bits);

// The quantisers of quant/ that exist at these bits, and the KV store's coder of keys and values,
// on the same vectors.
Result<std::vector<AccuracyRow>> measure_accuracy(const AccuracyOptions& options,
                                                  const VectorSample& sample);

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
