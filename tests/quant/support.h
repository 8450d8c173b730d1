#pragma once
// What the tests of quant/ share: seeded vectors, sums in double, confidence intervals. One thread.

#include <cmath>
#include <cstdint>
#include <span>
#include <vector>

#include "quant/random.h"

namespace tq::quant::testing {

inline constexpr double kFloatEps = 0x1p-24;  // one rounding to float

inline double dot(std::span<const float> a, std::span<const float> b) {
  double sum = 0.0;
  for (size_t i = 0; i < a.size(); ++i) sum += static_cast<double>(a[i]) * b[i];
  return sum;
}

inline double norm(std::span<const float> a) { return std::sqrt(dot(a, a)); }

inline double distance2(std::span<const float> a, std::span<const float> b) {
  double sum = 0.0;
  for (size_t i = 0; i < a.size(); ++i) sum += std::pow(static_cast<double>(a[i]) - b[i], 2);
  return sum;
}

inline std::vector<float> gaussian(Rng& rng, size_t n, double size = 1.0) {
  std::vector<float> values(n);
  for (float& value : values) value = static_cast<float>(size * rng.gaussian());
  return values;
}

// Mean of independent values. within(): the expectation lies inside the interval of 4 standard
// errors, which 6 in 100 000 samples of the right distribution miss; the seeds are fixed, so a pass
// stays a pass.
class Sample {
 public:
  void add(double value) {
    n_ += 1.0;
    const double delta = value - mean_;
    mean_ += delta / n_;
    squares_ += delta * (value - mean_);
  }
  double mean() const { return mean_; }
  double interval() const { return 4.0 * std::sqrt(squares_ / (n_ - 1.0) / n_); }
  bool within(double expected) const { return std::abs(mean_ - expected) <= interval(); }

 private:
  double n_ = 0.0;
  double mean_ = 0.0;
  double squares_ = 0.0;
};

}  // namespace tq::quant::testing
