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
#include "kernels/run_layer.h"
#include "quant/float16.h"

namespace tq::kernels {

namespace avx512_emulated {  // linear_avx512_emulated.cpp
LayerKernels layer_kernels() noexcept;
}
namespace avx512_vnni_emulated {  // linear_vnni_emulated.cpp
LayerKernels layer_kernels() noexcept;
LayerKernels tiled_layer_kernels() noexcept;
}  // namespace avx512_vnni_emulated

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

std::vector<LayerKernels> supported() {
  std::vector<LayerKernels> kernels{avx512_emulated::layer_kernels(),
                                    avx512_vnni_emulated::layer_kernels(),
                                    avx512_vnni_emulated::tiled_layer_kernels()};
  for (const char* name : {"scalar", "avx2", "avx512", "neon"}) {
    if (auto found = find_layer_kernels(name)) kernels.push_back(*found);
  }
  return kernels;
}

// x as the kernels want it for weights of this type, where that is not x itself.
struct Prepared {
  CodedBuffer buffer;
  CodedRows coded;
  std::vector<SplitInputs> split;
};

Prepared prepared(const LayerKernels& kernels,
                  const PackedLinear& linear,
                  std::span<const float> x) {
  const int64_t n_inputs = linear.n_inputs();
  const auto n_rows = static_cast<int64_t>(x.size()) / n_inputs;
  Prepared inputs;
  if (kernels.code_inputs != nullptr && is_codes(linear.type())) {
    inputs.coded = inputs.buffer.resize(x.size() / kCodeInputs);
    kernels.code_inputs(
        {.x = x, .coded = inputs.coded, .n_inputs = n_inputs, .row_begin = 0, .row_end = n_rows});
  }
  if (kernels.split_inputs != nullptr && linear.type() == PackedType::kBf16) {
    inputs.split.resize(static_cast<size_t>(n_rows * n_split_blocks(n_inputs)));
    kernels.split_inputs(
        {.x = x, .split = inputs.split, .n_inputs = n_inputs, .row_begin = 0, .row_end = n_rows});
  }
  return inputs;
}

constexpr PackedType kTypes[] = {PackedType::kF32,  PackedType::kBf16, PackedType::kQ4_0,
                                 PackedType::kQ4_1, PackedType::kQ5_1, PackedType::kQ6_K,
                                 PackedType::kQ8_0};

// Of a type of codes: how many there are, and which one is zero where no minimum says so.
struct CodeRange {
  uint32_t n_codes;
  int zero;
  bool has_minimum;
};

CodeRange code_range(PackedType type) {
  switch (type) {
    case PackedType::kQ4_0: return {16, 8, false};
    case PackedType::kQ4_1: return {16, 0, true};
    case PackedType::kQ5_1: return {32, 0, true};
    case PackedType::kQ6_K: return {64, 32, false};
    case PackedType::kQ8_0: return {256, 0, false};  // signed
    default: FAIL("no codes"); return {};
  }
}

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
  const CodeRange range = code_range(type);
  std::vector<float> weights;
  for (int64_t o = 0; o < n_outputs; ++o) {
    for (int64_t index = 0; index < n_inputs / kCodeInputs; ++index) {
      CodeBlock block{.d = random_half(rng), .d_second = random_half(rng), .m = random_half(rng)};
      for (int8_t& code : block.codes) code = static_cast<int8_t>(rng() % range.n_codes);
      linear->pack_block(o, index, block);
      const double m = range.has_minimum ? quant::fp16_to_float(block.m) : 0.0f;
      for (size_t k = 0; k < kCodeInputs; ++k) {  // exact in double, then rounded once
        const bool second = type == PackedType::kQ6_K && k >= kCodeInputs / 2;
        const double d = quant::fp16_to_float(second ? block.d_second : block.d);
        weights.push_back(static_cast<float>(d * (block.codes[k] - range.zero) + m));
      }
    }
  }
  return {std::move(linear).value(), std::move(weights)};
}

Matrix random_matrix(int64_t n_outputs, int64_t n_inputs, PackedType type, uint32_t seed) {
  return is_codes(type) ? random_codes(n_outputs, n_inputs, type, seed)
                        : random_floats(n_outputs, n_inputs, type, seed);
}

// Panels [panels.first, panels.second) of y = x W^T. Other columns of y are not touched.
void multiply(const LayerKernels& kernels,
              const PackedLinear& linear,
              std::span<const float> x,
              std::pair<int64_t, int64_t> panels,
              std::span<float> y,
              int64_t y_stride = 0) {
  const auto inputs = prepared(kernels, linear, x);
  kernels.linear({.weights = &linear,
                  .x = x,
                  .coded = inputs.coded,
                  .split = inputs.split,
                  .y = y,
                  .y_stride = y_stride == 0 ? linear.n_outputs() : y_stride,
                  .n_rows = static_cast<int64_t>(x.size()) / linear.n_inputs(),
                  .panel_begin = panels.first,
                  .panel_end = panels.second});
}

// All panels; y starts as NaN.
std::vector<float> product(const LayerKernels& kernels,
                           const PackedLinear& linear,
                           std::span<const float> x,
                           int64_t n_rows) {
  std::vector<float> y(static_cast<size_t>(n_rows * linear.n_outputs()), NAN);
  multiply(kernels, linear, x.first(static_cast<size_t>(n_rows * linear.n_inputs())),
           {0, linear.n_panels()}, y);
  return y;
}

bool same_bits(std::span<const float> a, std::span<const float> b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size_bytes()) == 0;
}

// What rounding inputs to integers, and products of codes before their minimum is added, may cost.
double rounding_bound(std::span<const float> weights, std::span<const float> x) {
  double bound = 0;
  for (size_t k = 0; k < x.size(); k += kCodeInputs) {
    double largest_x = 0, largest_w = 0;
    for (size_t i = k; i < k + kCodeInputs; ++i) {
      largest_x = std::max(largest_x, std::fabs(double{x[i]}));
      largest_w = std::max(largest_w, std::fabs(double{weights[i]}));
    }
    // Half a unit of each input. And a few roundings of sums of codes times scale and of minimum
    // times sum, which cancel: each is at most three times what the largest weight would give.
    bound += kCodeInputs * largest_w * largest_x * (0.5 / 2032 + 32 * 0x1p-24);
  }
  return bound;
}

struct Size {
  int64_t n_rows;
  int64_t n_outputs;
  int64_t n_inputs;
};

constexpr Size kSizes[] = {
    {1, 1, 1},     {1, 16, 2},    {1, 64, 33},   {1, 200, 576}, {2, 17, 31},  {3, 48, 64},
    {5, 80, 7},    {7, 33, 128},  {8, 64, 96},   {13, 40, 65},  {64, 70, 50}, {29, 100, 101},
    {1, 1, 32},    {6, 31, 32},   {24, 90, 288}, {35, 67, 544}, {50, 33, 64}, {49, 20, 96},
    {17, 18, 160}, {16, 17, 192}, {97, 35, 224}};

}  // namespace

TEST_CASE("linear equals the sum in double") {
  INFO("seed " << kSeed);
  for (const PackedType type : kTypes) {
    for (const Size& size : kSizes) {
      if (is_codes(type) && size.n_inputs % kCodeInputs != 0) continue;
      const auto x = random_values(static_cast<size_t>(size.n_rows * size.n_inputs), kSeed);
      const Matrix matrix = random_matrix(size.n_outputs, size.n_inputs, type, kSeed + 1);
      for (const LayerKernels& kernels : supported()) {
        const auto y = product(kernels, matrix.packed, x, size.n_rows);
        const Prepared inputs = prepared(kernels, matrix.packed, x);
        for (int64_t r = 0; r < size.n_rows; ++r) {
          for (int64_t o = 0; o < size.n_outputs; ++o) {
            const auto w = std::span(matrix.weights)
                               .subspan(static_cast<size_t>(o * size.n_inputs),
                                        static_cast<size_t>(size.n_inputs));
            const auto in = std::span(x).subspan(static_cast<size_t>(r * size.n_inputs), w.size());
            double sum = 0;
            double magnitude = 0;
            for (size_t k = 0; k < w.size(); ++k) {
              sum += double{w[k]} * double{in[k]};
              magnitude += std::fabs(double{w[k]} * double{in[k]});
            }
            // A sequential fp32 sum of n terms errs by at most n * 2^-24 of the sum of magnitudes.
            const double bound = static_cast<double>(size.n_inputs + 1) * 0x1p-24 * magnitude +
                                 (inputs.coded.inputs == nullptr ? 0.0 : rounding_bound(w, in)) +
                                 (inputs.split.empty() ? 0.0 : 0x1p-17 * magnitude);
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
    const int64_t n_rows = 70, n_outputs = 16 * 9 + 5, n_inputs = is_codes(type) ? 288 : 259;
    const auto x = random_values(static_cast<size_t>(n_rows * n_inputs), kSeed);
    const Matrix matrix = random_matrix(n_outputs, n_inputs, type, kSeed + 2);
    const PackedLinear& linear = matrix.packed;
    for (const LayerKernels& kernels : supported()) {
      std::vector<float> alone;
      for (int64_t r = 0; r < n_rows; ++r) {
        const auto row =
            product(kernels, linear, std::span(x).subspan(static_cast<size_t>(r * n_inputs)), 1);
        alone.insert(alone.end(), row.begin(), row.end());
      }
      for (int64_t batch = 1; batch <= n_rows; ++batch) {
        std::vector<float> y(static_cast<size_t>(batch * n_outputs), NAN);
        const int64_t cut = batch % linear.n_panels();
        const auto rows = std::span(x).first(static_cast<size_t>(batch * n_inputs));
        multiply(kernels, linear, rows, {0, cut}, y);
        multiply(kernels, linear, rows, {cut, linear.n_panels()}, y);
        REQUIRE(same_bits(y, std::span(alone).first(y.size())));
      }
    }
  }
}

TEST_CASE("outputs go to their columns of wider rows, and nothing else is written") {
  INFO("seed " << kSeed);
  const int64_t n_rows = 37, n_outputs = 16 * 3 + 5, stride = n_outputs + 7, first = 3;
  for (const PackedType type : kTypes) {
    const Matrix matrix = random_matrix(n_outputs, 64, type, kSeed + 4);
    const auto x = random_values(static_cast<size_t>(n_rows * 64), kSeed);
    for (const LayerKernels& kernels : supported()) {
      const auto dense = product(kernels, matrix.packed, x, n_rows);
      std::vector<float> wide(static_cast<size_t>(n_rows * stride), 7.5f);
      multiply(kernels, matrix.packed, x, {0, matrix.packed.n_panels()},
               std::span(wide).subspan(first), stride);
      for (int64_t at = 0; at < n_rows * stride; ++at) {
        const int64_t column = at % stride - first;
        const bool own = column >= 0 && column < n_outputs;
        const float expected =
            own ? dense[static_cast<size_t>(at / stride * n_outputs + column)] : 7.5f;
        REQUIRE(wide[static_cast<size_t>(at)] == expected);
      }
    }
  }
}

TEST_CASE("codes that are widened give the bits of their weights in fp32") {
  INFO("seed " << kSeed);
  const int64_t n_outputs = 16 * 5 + 3, n_inputs = 320;
  const auto x = random_values(static_cast<size_t>(40 * n_inputs), kSeed);
  for (const PackedType type : kTypes) {
    if (!is_codes(type)) continue;
    const Matrix matrix = random_codes(n_outputs, n_inputs, type, kSeed + 3);
    auto wide = PackedLinear::create(n_outputs, n_inputs, PackedType::kF32);
    REQUIRE(wide.ok());
    wide->pack_rows(0, matrix.weights);
    for (const LayerKernels& kernels : supported()) {
      if (kernels.code_inputs != nullptr) continue;  // their inputs are rounded
      for (const int64_t n_rows : {1, 2, 5, 8, 40}) {
        REQUIRE(same_bits(product(kernels, matrix.packed, x, n_rows),
                          product(kernels, *wide, x, n_rows)));
      }
    }
  }
}

TEST_CASE("coded inputs: 12 bits of the largest, zero where tiny, not finite where one is not") {
  INFO("seed " << kSeed);
  constexpr int64_t kInputs = 3 * kCodeInputs;
  auto x = random_values(kInputs, kSeed);
  x[kCodeInputs] = 1e6f;  // its neighbours keep what is left of 12 bits
  for (size_t i = 2 * kCodeInputs; i < kInputs; ++i) x[i] *= 0.5e-30f;
  const auto largest = [&](size_t block) {
    double most = 0;
    for (size_t i = block * kCodeInputs; i < (block + 1) * kCodeInputs; ++i)
      most = std::max(most, std::fabs(double{x[i]}));
    return most;
  };
  for (const LayerKernels& kernels : supported()) {
    if (kernels.code_inputs == nullptr) continue;
    CodedBuffer buffer;
    const CodedRows coded = buffer.resize(kInputs / kCodeInputs);
    const auto code = [&] {
      kernels.code_inputs(
          {.x = x, .coded = coded, .n_inputs = kInputs, .row_begin = 0, .row_end = 1});
    };
    code();
    for (size_t i = 0; i < kInputs; ++i) {
      const CodedInputs& block = coded.inputs[i / kCodeInputs];
      const size_t in = i % kCodeInputs, word = in / 8 * 2 + in % 2, byte = in % 8 / 2;
      const auto at = [&](const int32_t* words) {
        return static_cast<int8_t>(static_cast<uint32_t>(words[word]) >> 8 * byte);
      };
      const int integer = 16 * at(block.high) + at(block.low);
      const double bound = i / kCodeInputs == 2 ? CodedInputs::kLeast
                                                : largest(i / kCodeInputs) / 2032 * (0.5 + 0x1p-6);
      REQUIRE(std::fabs(double{coded.units[i / kCodeInputs]} * integer - double{x[i]}) <= bound);
    }
    for (const float bad : {NAN, INFINITY, -INFINITY}) {
      const float kept = std::exchange(x[5], bad);
      const float other = std::exchange(x[13], bad);
      code();
      CHECK(!std::isfinite(coded.units[0]));
      CHECK(std::isfinite(coded.units[1]));
      x[5] = kept;
      x[13] = other;
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

}  // namespace tq::kernels
