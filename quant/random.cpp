#include "quant/random.h"

#include <bit>
#include <cmath>

namespace tq::quant {
namespace {

constexpr uint64_t kGolden = 0x9e3779b97f4a7c15u;

// The finaliser of SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators,
// 2014).
constexpr uint64_t mix(uint64_t z) noexcept {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

}  // namespace

Rng::Rng(uint64_t seed, RngStream stream) noexcept
    : state_(mix(seed + kGolden) ^ mix(static_cast<uint64_t>(stream) * kGolden)) {}

uint64_t Rng::bits() noexcept {
  state_ += kGolden;
  return mix(state_);
}

double Rng::uniform() noexcept { return static_cast<double>(bits() >> 11) * 0x1p-53; }

double Rng::gaussian() noexcept {
  if (has_spare_) {
    has_spare_ = false;
    return spare_;
  }
  for (;;) {
    const double u = 2.0 * uniform() - 1.0;
    const double v = 2.0 * uniform() - 1.0;
    const double s = u * u + v * v;
    if (s >= 1.0 || s == 0.0) continue;
    const double factor = std::sqrt(-2.0 * portable_log(s) / s);
    spare_ = v * factor;
    has_spare_ = true;
    return u * factor;
  }
}

float Rng::sign() noexcept { return (bits() >> 63) != 0 ? -1.0f : 1.0f; }

int Rng::below(int limit) noexcept {
  return static_cast<int>((bits() >> 32) * static_cast<uint64_t>(limit) >> 32);
}

double portable_log(double x) noexcept {
  // x = m * 2^exponent, m in [1/sqrt 2, sqrt 2); ln m = 2 atanh((m - 1) / (m + 1)).
  constexpr double kLn2 = 0.693147180559945309417;
  constexpr double kSqrt2 = 1.41421356237309504880;
  constexpr int kTerms = 12;  // 0.1716^25 / 25 < 2^-65
  const auto raw = std::bit_cast<uint64_t>(x);
  int exponent = static_cast<int>(raw >> 52) - 1023;
  auto m = std::bit_cast<double>((raw & 0x000fffffffffffffu) | 0x3ff0000000000000u);
  if (m >= kSqrt2) {
    m *= 0.5;
    ++exponent;
  }
  const double s = (m - 1.0) / (m + 1.0);
  const double s2 = s * s;
  double sum = 0.0;
  for (int i = kTerms; i >= 0; --i) sum = sum * s2 + 1.0 / (2.0 * i + 1.0);
  return exponent * kLn2 + 2.0 * s * sum;
}

}  // namespace tq::quant
