// bf16 weights with inputs as pairs of bf16: AMX's tiles give the bits of the same in plain C++, on
// data that show each rounding; what pairs keep of an input; NaN and infinity come through.

#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <span>
#include <vector>

#include "kernels/layer_kernels.h"
#include "kernels/run_layer.h"
#include "quant/float16.h"

namespace tq::kernels {

namespace avx512_vnni_emulated {  // linear_vnni_emulated.cpp
LayerKernels tiled_layer_kernels() noexcept;
}  // namespace avx512_vnni_emulated

namespace {

constexpr uint32_t kSeed = 20261127;

// Those that split inputs: software, and what this machine has.
std::vector<LayerKernels> splitting() {
  std::vector<LayerKernels> kernels{avx512_vnni_emulated::tiled_layer_kernels()};
  const auto found = find_layer_kernels("avx512");
  if (found.ok() && found->split_inputs != nullptr) kernels.push_back(*found);
  return kernels;
}

float from_bits(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

// Numbers of both signs with biased exponents in [first, first + n).
struct Exponents {
  uint32_t first;
  uint32_t n;
};

std::vector<float> random_values(size_t n, Exponents exponents, uint32_t seed) {
  std::mt19937 rng(seed);
  std::vector<float> values(n);
  for (float& value : values) {
    const uint32_t exponent = exponents.first + rng() % exponents.n;
    value = from_bits((rng() & 0x807fffffu) | exponent << 23);
  }
  return values;
}

PackedLinear packed(int64_t n_outputs, int64_t n_inputs, std::span<const float> weights) {
  auto linear = PackedLinear::create(n_outputs, n_inputs, PackedType::kBf16);
  REQUIRE(linear.ok());
  linear->pack_rows(0, weights);
  return std::move(linear).value();
}

std::vector<float> product(const LayerKernels& kernels,
                           const PackedLinear& linear,
                           std::span<const float> x) {
  const auto n_rows = static_cast<int64_t>(x.size()) / linear.n_inputs();
  std::vector<float> y(static_cast<size_t>(n_rows * linear.n_outputs()), NAN);
  cpu::ThreadPool pool(1);
  LayerRunner runner(kernels, pool);
  runner.linear(
      {.weights = &linear, .x = x, .y = y, .y_stride = linear.n_outputs(), .n_rows = n_rows});
  return y;
}

bool same_bits(std::span<const float> a, std::span<const float> b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size_bytes()) == 0;
}

}  // namespace

TEST_CASE("bf16 weights: tiles give the bits that plain C++ gives, whatever the numbers") {
  INFO("seed " << kSeed);
  struct Numbers {
    Exponents x;
    Exponents weights;
  };
  constexpr Numbers kNumbers[] = {
      {{127, 1}, {127, 1}},     // sums that round at every step
      {{107, 40}, {107, 40}},   // and that swallow most of what they are given
      {{52, 24}, {52, 24}},     // products about 2^-126
      {{0, 2}, {0, 2}},         // far below it
      {{0, 12}, {220, 20}},     // inputs or lows below it, whose products would be large
      {{180, 20}, {180, 20}}};  // overflow
  const int64_t n_outputs = 37;
  for (const int64_t n_inputs : {1, 31, 32, 33, 200}) {
    for (const Numbers& numbers : kNumbers) {
      const auto x = random_values(static_cast<size_t>(33 * n_inputs), numbers.x, kSeed);
      auto weights =
          random_values(static_cast<size_t>(n_outputs * n_inputs), numbers.weights, kSeed + 1);
      // Cancellation: an output whose inputs' second half takes back the first, nearly.
      for (int64_t k = n_inputs / 2; k < n_inputs / 2 * 2; ++k) {
        weights[static_cast<size_t>(k)] = -weights[static_cast<size_t>(k - n_inputs / 2)];
      }
      const PackedLinear linear = packed(n_outputs, n_inputs, weights);
      const auto kernels = splitting();
      const auto expected = product(kernels[0], linear, x);
      for (size_t i = 1; i < kernels.size(); ++i) {
        INFO("kernels " << i << ", " << n_inputs << " inputs, exponents from " << numbers.x.first);
        for (const int64_t n_rows : {1, 16, 33}) {
          const auto y = product(kernels[i], linear,
                                 std::span(x).first(static_cast<size_t>(n_rows * n_inputs)));
          REQUIRE(same_bits(y, std::span(expected).first(y.size())));
        }
      }
    }
  }
}

// More rows, panels and inputs than are taken at a time.
TEST_CASE("bf16 weights: many rows of many inputs have the bits of each alone") {
  INFO("seed " << kSeed);
  const int64_t n_rows = 99, n_outputs = 133, n_inputs = 4100;
  const auto x = random_values(static_cast<size_t>(n_rows * n_inputs), {120, 8}, kSeed);
  const PackedLinear linear =
      packed(n_outputs, n_inputs,
             random_values(static_cast<size_t>(n_outputs * n_inputs), {120, 8}, kSeed + 1));
  for (const LayerKernels& kernels : splitting()) {
    const auto y = product(kernels, linear, x);
    for (int64_t row = 0; row < n_rows; row += 13) {
      const auto alone = product(
          kernels, linear,
          std::span(x).subspan(static_cast<size_t>(row * n_inputs), static_cast<size_t>(n_inputs)));
      REQUIRE(same_bits(alone,
                        std::span(y).subspan(static_cast<size_t>(row * n_outputs), alone.size())));
    }
  }
}

TEST_CASE("split inputs keep 17 bits, and are zero behind the row's last") {
  INFO("seed " << kSeed);
  constexpr int64_t kInputs = 75, kRows = 3;
  const auto x = random_values(kRows * kInputs, {0, 254}, kSeed);
  const int64_t n_blocks = n_split_blocks(kInputs);
  REQUIRE(n_blocks == 3);
  for (const LayerKernels& kernels : splitting()) {
    std::vector<SplitInputs> split(kRows * static_cast<size_t>(n_blocks));
    std::memset(split.data(), 0xff, split.size() * sizeof(SplitInputs));
    kernels.split_inputs(
        {.x = x, .split = split, .n_inputs = kInputs, .row_begin = 0, .row_end = kRows});
    for (int64_t row = 0; row < kRows; ++row) {
      for (int64_t k = 0; k < n_blocks * kSplitInputs; ++k) {
        const auto& block = split[static_cast<size_t>(row * n_blocks + k / kSplitInputs)];
        const double in = k < kInputs ? x[static_cast<size_t>(row * kInputs + k)] : 0.0f;
        const double high = quant::bf16_to_float(block.high[k % kSplitInputs]);
        const double low = quant::bf16_to_float(block.low[k % kSplitInputs]);
        REQUIRE(std::fabs(high + low - in) <= std::fabs(in) * 0x1p-17 + 0x1p-133);
      }
    }
  }
}

TEST_CASE("NaN and infinity reach the outputs of their row, and of no other") {
  const int64_t n_rows = 35, n_outputs = 20, n_inputs = 70;
  const auto clean = random_values(static_cast<size_t>(n_rows * n_inputs), {120, 8}, kSeed);
  const PackedLinear linear =
      packed(n_outputs, n_inputs,
             random_values(static_cast<size_t>(n_outputs * n_inputs), {120, 8}, kSeed + 1));
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  for (const LayerKernels& kernels : splitting()) {
    for (const float bad :
         {from_bits(0x7fffffffu), from_bits(0xff800001u), kInfinity, -kInfinity}) {
      for (const int64_t row : {0, 20, 34}) {
        auto x = clean;
        x[static_cast<size_t>(row * n_inputs + 69)] = bad;
        const auto y = product(kernels, linear, x);
        for (size_t i = 0; i < y.size(); ++i) {
          REQUIRE(std::isfinite(y[i]) == (static_cast<int64_t>(i) / n_outputs != row));
        }
      }
    }
  }
}

TEST_CASE("linear() on bf16 weights leaves the thread's subnormal numbers as they were") {
  const PackedLinear linear = packed(16, 32, random_values(16 * 32, {120, 8}, kSeed));
  const auto x = random_values(3 * 32, {120, 8}, kSeed);
  for (const LayerKernels& kernels : splitting()) {
    static_cast<void>(product(kernels, linear, x));
    volatile float tiny = 0x1p-140f;
    CHECK(tiny * 0.5f == 0x1p-141f);
  }
}

}  // namespace tq::kernels
