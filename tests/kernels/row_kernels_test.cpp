// RMSNorm and SwiGLU on every instruction set of this machine: against double, and bit-equal
// whatever rows a call takes at once.

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "kernels/layer_kernels.h"
#include "kernels/run_layer.h"

namespace tq::kernels {

namespace avx512_emulated {  // linear_avx512_emulated.cpp
LayerKernels layer_kernels() noexcept;
}

namespace {

constexpr uint32_t kSeed = 20261127;
constexpr int64_t kSizes[] = {1, 3, 16, 63, 64, 100, 576, 1536};  // with and without a rest
constexpr int64_t kRows = 3;

std::vector<float> random_values(int64_t n, float scale, uint32_t seed) {
  std::mt19937 rng(seed);
  std::normal_distribution<float> normal(0.0f, scale);
  std::vector<float> values(static_cast<size_t>(n));
  for (float& value : values) value = normal(rng);
  return values;
}

std::vector<LayerKernels> supported() {
  std::vector<LayerKernels> kernels{avx512_emulated::layer_kernels()};
  for (const char* name : {"scalar", "avx2", "avx512", "neon"}) {
    if (auto found = find_layer_kernels(name)) kernels.push_back(*found);
  }
  return kernels;
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

}  // namespace

TEST_CASE("RMSNorm adds, normalises and scales", "[row_kernels]") {
  constexpr float kEps = 1e-5f;
  for (const int64_t size : kSizes) {
    const auto x = random_values(kRows * size, 3.0f, kSeed);
    const auto delta = random_values(kRows * size, 1.0f, kSeed + 1);
    const auto weight = random_values(size, 1.0f, kSeed + 2);
    for (const LayerKernels& kernels : supported()) {
      for (const bool adds : {false, true}) {
        INFO("size " << size << (adds ? ", with delta" : "") << ", seed " << kSeed);
        std::vector<float> sum = x;
        std::vector<float> y(x.size());
        const std::span<const float> added = adds ? std::span(delta) : std::span<const float>();
        kernels.norm({sum, added, weight, y, kEps, 0, kRows});
        for (int64_t row = 0; row < kRows; ++row) {
          double squares = 0;
          for (int64_t i = 0; i < size; ++i) {
            const auto at = static_cast<size_t>(row * size + i);
            REQUIRE(sum[at] == (adds ? x[at] + delta[at] : x[at]));
            squares += double{sum[at]} * double{sum[at]};
          }
          const double rms = std::sqrt(squares / static_cast<double>(size) + double{kEps});
          for (int64_t i = 0; i < size; ++i) {
            const auto at = static_cast<size_t>(row * size + i);
            const double want = double{sum[at]} / rms * double{weight[static_cast<size_t>(i)]};
            // A lane's share of the sum, two roundings of the factor and two of the products.
            REQUIRE(std::abs(double{y[at]} - want) <= 32 * 0x1p-24 * std::abs(want));
          }
        }
      }
    }
  }
}

TEST_CASE("SwiGLU, also far outside of what floats can exponentiate", "[row_kernels]") {
  for (const int64_t size : kSizes) {
    auto gate_up = random_values(kRows * 2 * size, 4.0f, kSeed);
    const float extremes[] = {0.0f, -0.0f, 87.9f, -87.9f, 89.0f, -89.0f, 1e30f, -1e30f, 1e-40f};
    std::copy_n(extremes, std::min<int64_t>(size, std::size(extremes)), gate_up.begin());
    for (const LayerKernels& kernels : supported()) {
      INFO("size " << size << ", seed " << kSeed);
      std::vector<float> y(static_cast<size_t>(kRows * size));
      kernels.swiglu({gate_up, y, size, 0, kRows});
      for (int64_t row = 0; row < kRows; ++row) {
        for (int64_t i = 0; i < size; ++i) {
          const double gate = double{gate_up[static_cast<size_t>(row * 2 * size + i)]};
          const double up = double{gate_up[static_cast<size_t>((row * 2 + 1) * size + i)]};
          const double want = gate / (1 + std::exp(std::min(-gate, 88.0))) * up;
          const double got = double{y[static_cast<size_t>(row * size + i)]};
          CAPTURE(gate, up);
          REQUIRE(std::abs(got - want) <= 4e-7 * std::abs(want) + 1e-37);
        }
      }
    }
  }
}

TEST_CASE("rows have the same bits one by one and on any number of threads", "[row_kernels]") {
  constexpr int64_t kMany = 97;
  constexpr int64_t kSize = 1000;
  const auto x = random_values(kMany * kSize, 1.0f, kSeed);
  const auto weight = random_values(kSize, 1.0f, kSeed + 1);
  const auto gate_up = random_values(kMany * 2 * kSize, 4.0f, kSeed + 2);
  for (const LayerKernels& kernels : supported()) {
    std::vector<float> normed(x.size()), product(x.size());
    std::vector<float> in = x;
    for (int64_t row = 0; row < kMany; ++row) {
      kernels.norm({in, {}, weight, normed, 0.0f, row, row + 1});
      kernels.swiglu({gate_up, product, kSize, row, row + 1});
    }
    for (const int n_threads : {1, 3}) {
      cpu::ThreadPool pool(n_threads);
      const LayerRunner runner(kernels, pool);
      std::vector<float> again(x.size());
      runner.norm({.x = in, .delta = {}, .weight = weight, .y = again});
      CHECK(same_bits(again, normed));
      runner.swiglu({.gate_up = gate_up, .y = again, .size = kSize});
      CHECK(same_bits(again, product));
    }
  }
}

}  // namespace tq::kernels
