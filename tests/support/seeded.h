#pragma once
// Seeded: a small generator whose numbers are the same on every machine (the distributions of
// <random> are not). Each test prints the seed it used.

#include <cstdint>

namespace tq::test {

class Seeded {
 public:
  explicit Seeded(uint64_t seed) : state_(seed) {}

  uint64_t next() {  // SplitMix64
    uint64_t x = (state_ += 0x9e3779b97f4a7c15ull);
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
    return x ^ (x >> 31);
  }
  // In [low, high].
  int64_t in(int64_t low, int64_t high) {
    return low + static_cast<int64_t>(next() % static_cast<uint64_t>(high - low + 1));
  }
  double unit() { return static_cast<double>(next() >> 11) * 0x1.0p-53; }  // [0, 1)
  bool chance(double p) { return unit() < p; }

 private:
  uint64_t state_;
};

}  // namespace tq::test
