#include "quant/random.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <set>

#include "tests/quant/support.h"

using tq::quant::portable_log;
using tq::quant::Rng;
using tq::quant::RngStream;
using tq::quant::testing::Sample;

TEST_CASE("the logarithm is right to two ulp", "[random]") {
  Rng rng(99, RngStream::kData);
  for (int i = 0; i < 20000; ++i) {
    const double x = std::ldexp(0.5 + rng.uniform(), -rng.below(100));
    const double exact = std::log(x);
    // Near 1 both terms vanish together; the relative error stays.
    REQUIRE(std::abs(portable_log(x) - exact) <= 2.0 * 0x1p-52 * std::abs(exact));
  }
  CHECK(portable_log(1.0) == 0.0);
}

TEST_CASE("Gaussians have the moments of N(0, 1)", "[random]") {
  Rng rng(7, RngStream::kData);
  Sample first, second, third, fourth;
  for (int i = 0; i < 200000; ++i) {
    const double z = rng.gaussian();
    first.add(z);
    second.add(z * z);
    third.add(z * z * z);
    fourth.add(z * z * z * z);
  }
  CHECK(first.within(0.0));
  CHECK(second.within(1.0));
  CHECK(third.within(0.0));
  CHECK(fourth.within(3.0));
}

TEST_CASE("uniforms, signs and bounded integers are fair", "[random]") {
  Rng rng(8, RngStream::kData);
  Sample uniform, sign, die;
  for (int i = 0; i < 100000; ++i) {
    const double u = rng.uniform();
    REQUIRE((u >= 0.0 && u < 1.0));
    uniform.add(u);
    sign.add(static_cast<double>(rng.sign()));
    const int face = rng.below(6);
    REQUIRE((face >= 0 && face < 6));
    die.add(face);
  }
  CHECK(uniform.within(0.5));
  CHECK(sign.within(0.0));
  CHECK(die.within(2.5));
}

TEST_CASE("streams and seeds never share numbers", "[random]") {
  std::set<uint64_t> seen;
  size_t drawn = 0;
  for (uint64_t seed = 0; seed < 50; ++seed) {
    for (const RngStream stream : {RngStream::kHadamardSigns, RngStream::kQrMatrix,
                                   RngStream::kQjlMatrix, RngStream::kData}) {
      Rng rng(seed, stream);
      Rng again(seed, stream);
      for (int i = 0; i < 100; ++i) {
        const uint64_t bits = rng.bits();
        REQUIRE(bits == again.bits());
        seen.insert(bits);
        ++drawn;
      }
    }
  }
  CHECK(seen.size() == drawn);  // a collision of 20 000 random 64-bit numbers has probability 1e-11
}
