// PackedLinear on every instruction set of this machine: against sums in double, and bit-equal in
// any batch.

#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "kernels/linear.h"
#include "quant/float16.h"

namespace tq::kernels {

namespace avx512_emulated {  // linear_avx512_emulated.cpp
void linear(const LinearCall& call) noexcept;
}

namespace {

constexpr uint32_t kSeed = 20261124;

std::vector<float> random_values(size_t n, uint32_t seed) {
  std::mt19937 rng(seed);
  std::vector<float> values(n);
  for (float& value : values) {
    value = static_cast<float>(static_cast<int32_t>(rng())) / 2147483648.0f;  // [-1, 1)
  }
  return values;
}

std::vector<LinearFn> supported() {
  std::vector<LinearFn> functions{avx512_emulated::linear};
  for (const char* name : {"scalar", "avx2", "avx512"}) {
    if (auto found = find_linear(name)) functions.push_back(*found);
  }
  return functions;
}

PackedLinear packed(const std::vector<float>& weights,
                    int64_t n_outputs,
                    int64_t n_inputs,
                    PackedType type) {
  auto linear = PackedLinear::create(n_outputs, n_inputs, type);
  REQUIRE(linear.ok());
  linear->pack_rows(0, weights);
  return std::move(linear).value();
}

struct Size {
  int64_t n_rows, n_outputs, n_inputs;
};

constexpr Size kSizes[] = {{1, 1, 1},   {1, 16, 2},   {1, 64, 33},  {1, 200, 576},
                           {2, 17, 31}, {3, 48, 64},  {5, 80, 7},   {7, 33, 128},
                           {8, 64, 96}, {13, 40, 65}, {64, 70, 50}, {29, 100, 101}};

}  // namespace

TEST_CASE("linear equals the sum in double") {
  INFO("seed " << kSeed);
  for (const PackedType type : {PackedType::kF32, PackedType::kBf16}) {
    for (const Size& size : kSizes) {
      const auto x = random_values(static_cast<size_t>(size.n_rows * size.n_inputs), kSeed);
      const auto weights =
          random_values(static_cast<size_t>(size.n_outputs * size.n_inputs), kSeed + 1);
      const PackedLinear linear = packed(weights, size.n_outputs, size.n_inputs, type);
      for (const LinearFn function : supported()) {
        std::vector<float> y(static_cast<size_t>(size.n_rows * size.n_outputs), NAN);
        function({.weights = &linear,
                  .x = x,
                  .y = y,
                  .n_rows = size.n_rows,
                  .panel_begin = 0,
                  .panel_end = linear.n_panels()});
        for (int64_t r = 0; r < size.n_rows; ++r) {
          for (int64_t o = 0; o < size.n_outputs; ++o) {
            double sum = 0;
            double magnitude = 0;
            for (int64_t k = 0; k < size.n_inputs; ++k) {
              float w = weights[static_cast<size_t>(o * size.n_inputs + k)];
              if (type == PackedType::kBf16) w = quant::bf16_to_float(quant::float_to_bf16(w));
              const double term = double{w} * double{x[static_cast<size_t>(r * size.n_inputs + k)]};
              sum += term;
              magnitude += std::fabs(term);
            }
            // A sequential fp32 sum of n terms errs by at most n * 2^-24 of the sum of magnitudes.
            const double bound = static_cast<double>(size.n_inputs + 1) * 0x1p-24 * magnitude;
            const double got = y[static_cast<size_t>(r * size.n_outputs + o)];
            REQUIRE(std::isfinite(got));
            REQUIRE(std::fabs(got - sum) <= bound);
          }
        }
      }
    }
  }
}

TEST_CASE("a row has the same bits alone and in any batch, whole or in ranges of panels") {
  INFO("seed " << kSeed);
  for (const PackedType type : {PackedType::kF32, PackedType::kBf16}) {
    const int64_t n_rows = 31, n_outputs = 16 * 9 + 5, n_inputs = 131;
    const auto x = random_values(static_cast<size_t>(n_rows * n_inputs), kSeed);
    const auto weights = random_values(static_cast<size_t>(n_outputs * n_inputs), kSeed + 2);
    const PackedLinear linear = packed(weights, n_outputs, n_inputs, type);
    for (const LinearFn function : supported()) {
      std::vector<float> alone(static_cast<size_t>(n_rows * n_outputs), NAN);
      for (int64_t r = 0; r < n_rows; ++r) {
        function({.weights = &linear,
                  .x = std::span(x).subspan(static_cast<size_t>(r * n_inputs)),
                  .y = std::span(alone).subspan(static_cast<size_t>(r * n_outputs)),
                  .n_rows = 1,
                  .panel_begin = 0,
                  .panel_end = linear.n_panels()});
      }
      for (int64_t batch = 1; batch <= n_rows; ++batch) {
        std::vector<float> y(static_cast<size_t>(batch * n_outputs), NAN);
        const int64_t cut = batch % linear.n_panels();
        for (const auto& [begin, end] : {std::pair{int64_t{0}, cut}, {cut, linear.n_panels()}}) {
          function({.weights = &linear,
                    .x = std::span(x).first(static_cast<size_t>(batch * n_inputs)),
                    .y = y,
                    .n_rows = batch,
                    .panel_begin = begin,
                    .panel_end = end});
        }
        REQUIRE(std::memcmp(y.data(), alone.data(), y.size() * sizeof(float)) == 0);
      }
    }
  }
}

TEST_CASE("unpack_row gives back what pack_rows took") {
  const int64_t n_outputs = 35, n_inputs = 17;
  const auto weights = random_values(static_cast<size_t>(n_outputs * n_inputs), kSeed);
  for (const PackedType type : {PackedType::kF32, PackedType::kBf16}) {
    const PackedLinear linear = packed(weights, n_outputs, n_inputs, type);
    std::vector<float> row(static_cast<size_t>(n_inputs));
    for (int64_t o = 0; o < n_outputs; ++o) {
      linear.unpack_row(o, row);
      for (int64_t k = 0; k < n_inputs; ++k) {
        const float w = weights[static_cast<size_t>(o * n_inputs + k)];
        const float want =
            type == PackedType::kF32 ? w : quant::bf16_to_float(quant::float_to_bf16(w));
        REQUIRE(row[static_cast<size_t>(k)] == want);
      }
    }
  }
}

TEST_CASE("impossible layers and unknown kernels are errors") {
  CHECK(PackedLinear::create(0, 8, PackedType::kF32).error().code == Code::kInvalidArgument);
  CHECK(PackedLinear::create(8, -1, PackedType::kF32).error().code == Code::kInvalidArgument);
  CHECK(PackedLinear::create(int64_t{1} << 40, 8, PackedType::kBf16).error().code ==
        Code::kInvalidArgument);
  const auto unknown = find_linear("sse9");
  REQUIRE(!unknown.ok());
  CHECK(unknown.error().message.find("sse9") != std::string::npos);
}

}  // namespace tq::kernels
