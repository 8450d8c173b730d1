// PackedLinear on every instruction set of this machine: against sums in double, and bit-equal in
// any batch.

#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>
#include <iterator>
#include <random>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "kernels/layer_kernels.h"
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
    if (auto found = find_layer_kernels(name)) functions.push_back(found->linear);
  }
  return functions;
}

constexpr PackedType kTypes[] = {PackedType::kF32, PackedType::kBf16, PackedType::kQ4_0,
                                 PackedType::kQ4_1, PackedType::kQ8_0};

struct Matrix {
  PackedLinear packed;
  std::vector<float> weights;  // [n_outputs, n_inputs], as the type holds them
};

Matrix random_floats(int64_t n_outputs, int64_t n_inputs, PackedType type, uint32_t seed) {
  auto linear = PackedLinear::create(n_outputs, n_inputs, type);
  REQUIRE(linear.ok());
  auto weights = random_values(static_cast<size_t>(n_outputs * n_inputs), seed);
  linear->pack_rows(0, weights);
  if (type == PackedType::kBf16) {
    for (float& w : weights) w = quant::bf16_to_float(quant::float_to_bf16(w));
  }
  return {std::move(linear).value(), std::move(weights)};
}

// Scales and minima of every kind that is finite: zeros, subnormals, the largest, both signs.
uint16_t random_half(std::mt19937& rng) {
  constexpr uint16_t kSpecial[] = {0, 0x8000, 1, 0x8001, 0x03ff, 0x0400, 0x7bff, 0xfbff};
  if (rng() % 4 == 0) return kSpecial[rng() % std::size(kSpecial)];
  return quant::float_to_fp16(static_cast<float>(static_cast<int32_t>(rng())) / 2147483648.0f);
}

Matrix random_codes(int64_t n_outputs, int64_t n_inputs, PackedType type, uint32_t seed) {
  auto linear = PackedLinear::create(n_outputs, n_inputs, type);
  REQUIRE(linear.ok());
  std::mt19937 rng(seed);
  std::vector<float> weights;
  for (int64_t o = 0; o < n_outputs; ++o) {
    for (int64_t index = 0; index < n_inputs / kCodeInputs; ++index) {
      CodeBlock block{.d = random_half(rng), .m = random_half(rng)};
      for (int8_t& code : block.codes) {
        code = static_cast<int8_t>(type == PackedType::kQ8_0 ? rng() % 256 : rng() % 16);
      }
      linear->pack_block(o, index, block);
      const int zero = type == PackedType::kQ4_0 ? 8 : 0;
      const double m = type == PackedType::kQ4_1 ? quant::fp16_to_float(block.m) : 0.0f;
      for (const int8_t code : block.codes) {  // exact in double, then rounded once
        const double w = double{quant::fp16_to_float(block.d)} * (code - zero) + m;
        weights.push_back(static_cast<float>(w));
      }
    }
  }
  return {std::move(linear).value(), std::move(weights)};
}

Matrix random_matrix(int64_t n_outputs, int64_t n_inputs, PackedType type, uint32_t seed) {
  return is_codes(type) ? random_codes(n_outputs, n_inputs, type, seed)
                        : random_floats(n_outputs, n_inputs, type, seed);
}

// All panels; y starts as NaN.
std::vector<float> product(LinearFn function,
                           const PackedLinear& linear,
                           std::span<const float> x,
                           int64_t n_rows) {
  std::vector<float> y(static_cast<size_t>(n_rows * linear.n_outputs()), NAN);
  function({.weights = &linear,
            .x = x,
            .y = y,
            .n_rows = n_rows,
            .panel_begin = 0,
            .panel_end = linear.n_panels()});
  return y;
}

bool same_bits(std::span<const float> a, std::span<const float> b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size_bytes()) == 0;
}

struct Size {
  int64_t n_rows;
  int64_t n_outputs;
  int64_t n_inputs;
};

constexpr Size kSizes[] = {{1, 1, 1},   {1, 16, 2},   {1, 64, 33},   {1, 200, 576},
                           {2, 17, 31}, {3, 48, 64},  {5, 80, 7},    {7, 33, 128},
                           {8, 64, 96}, {13, 40, 65}, {64, 70, 50},  {29, 100, 101},
                           {1, 1, 32},  {6, 31, 32},  {24, 90, 288}, {35, 67, 544}};

}  // namespace

TEST_CASE("linear equals the sum in double") {
  INFO("seed " << kSeed);
  for (const PackedType type : kTypes) {
    for (const Size& size : kSizes) {
      if (is_codes(type) && size.n_inputs % kCodeInputs != 0) continue;
      const auto x = random_values(static_cast<size_t>(size.n_rows * size.n_inputs), kSeed);
      const Matrix matrix = random_matrix(size.n_outputs, size.n_inputs, type, kSeed + 1);
      for (const LinearFn function : supported()) {
        const auto y = product(function, matrix.packed, x, size.n_rows);
        for (int64_t r = 0; r < size.n_rows; ++r) {
          for (int64_t o = 0; o < size.n_outputs; ++o) {
            double sum = 0;
            double magnitude = 0;
            for (int64_t k = 0; k < size.n_inputs; ++k) {
              const double term =
                  double{matrix.weights[static_cast<size_t>(o * size.n_inputs + k)]} *
                  double{x[static_cast<size_t>(r * size.n_inputs + k)]};
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
  for (const PackedType type : kTypes) {
    // Rows beyond the kernels' "many", inputs beyond a slice of it.
    const int64_t n_rows = 41, n_outputs = 16 * 9 + 5, n_inputs = is_codes(type) ? 288 : 259;
    const auto x = random_values(static_cast<size_t>(n_rows * n_inputs), kSeed);
    const Matrix matrix = random_matrix(n_outputs, n_inputs, type, kSeed + 2);
    const PackedLinear& linear = matrix.packed;
    for (const LinearFn function : supported()) {
      std::vector<float> alone;
      for (int64_t r = 0; r < n_rows; ++r) {
        const auto row =
            product(function, linear, std::span(x).subspan(static_cast<size_t>(r * n_inputs)), 1);
        alone.insert(alone.end(), row.begin(), row.end());
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
        REQUIRE(same_bits(y, std::span(alone).first(y.size())));
      }
    }
  }
}

TEST_CASE("codes give the bits of their weights in fp32") {
  INFO("seed " << kSeed);
  const int64_t n_outputs = 16 * 5 + 3, n_inputs = 320;
  const auto x = random_values(static_cast<size_t>(40 * n_inputs), kSeed);
  for (const PackedType type : kTypes) {
    if (!is_codes(type)) continue;
    const Matrix matrix = random_codes(n_outputs, n_inputs, type, kSeed + 3);
    auto wide = PackedLinear::create(n_outputs, n_inputs, PackedType::kF32);
    REQUIRE(wide.ok());
    wide->pack_rows(0, matrix.weights);
    for (const LinearFn function : supported()) {
      for (const int64_t n_rows : {1, 2, 5, 8, 40}) {
        REQUIRE(same_bits(product(function, matrix.packed, x, n_rows),
                          product(function, *wide, x, n_rows)));
      }
    }
  }
}

TEST_CASE("unpack_row gives back what was packed") {
  const int64_t n_outputs = 35;
  for (const PackedType type : kTypes) {
    const int64_t n_inputs = is_codes(type) ? 96 : 17;
    const Matrix matrix = random_matrix(n_outputs, n_inputs, type, kSeed);
    std::vector<float> row(static_cast<size_t>(n_inputs));
    for (int64_t o = 0; o < n_outputs; ++o) {
      matrix.packed.unpack_row(o, row);
      for (int64_t k = 0; k < n_inputs; ++k) {
        REQUIRE(row[static_cast<size_t>(k)] ==
                matrix.weights[static_cast<size_t>(o * n_inputs + k)]);
      }
    }
  }
}

TEST_CASE("codes take their own bits and no more") {
  const auto bits = [](PackedType type) {
    auto linear = PackedLinear::create(32, 96, type);
    REQUIRE(linear.ok());
    return static_cast<double>(linear->bytes()) * 8 / (32 * 96);
  };
  CHECK(bits(PackedType::kQ4_0) == 4.5);
  CHECK(bits(PackedType::kQ4_1) == 5.0);
  CHECK(bits(PackedType::kQ8_0) == 8.5);
}

TEST_CASE("impossible layers and unknown kernels are errors") {
  CHECK(PackedLinear::create(0, 8, PackedType::kF32).error().code == Code::kInvalidArgument);
  CHECK(PackedLinear::create(8, -1, PackedType::kF32).error().code == Code::kInvalidArgument);
  CHECK(PackedLinear::create(int64_t{1} << 40, 8, PackedType::kBf16).error().code ==
        Code::kInvalidArgument);
  CHECK(PackedLinear::create(16, 48, PackedType::kQ4_0).error().code == Code::kInvalidArgument);
  const auto unknown = find_layer_kernels("sse9");
  REQUIRE(!unknown.ok());
  CHECK(unknown.error().message.find("sse9") != std::string::npos);
}

}  // namespace tq::kernels
