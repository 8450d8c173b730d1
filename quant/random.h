#pragma once
// Rng: the numbers behind every rotation and projection. SplitMix64 for bits and Marsaglia's polar
// method for Gaussians, with a logarithm of its own, so that a seed gives the same doubles on every
// machine, compiler and library (std::normal_distribution is specified on none of them). Plain
// value; one owner, one thread.

#include <cstdint>

namespace tq::quant {

// The streams that one seed feeds. A stream never shares numbers with another one of the same seed.
enum class RngStream : uint64_t {
  kHadamardSigns = 1,
  kQrMatrix = 2,
  kQjlMatrix = 3,
  kData = 4,  // test vectors and benchmark data
};

class Rng {
 public:
  Rng(uint64_t seed, RngStream stream) noexcept;

  uint64_t bits() noexcept;       // 64 of them
  double uniform() noexcept;      // in [0, 1), a multiple of 2^-53
  double gaussian() noexcept;     // N(0, 1)
  float sign() noexcept;          // +1 or -1
  int below(int limit) noexcept;  // 0 .. limit - 1; limit > 0 and small against 2^32

 private:
  uint64_t state_;
  double spare_ = 0.0;  // the second Gaussian of a pair
  bool has_spare_ = false;
};

// ln(x) for a normal x > 0 from additions, multiplications and divisions alone: the same bits
// wherever doubles are IEEE 754 and contraction to FMA is off. Error below 2 ulp.
double portable_log(double x) noexcept;

}  // namespace tq::quant
