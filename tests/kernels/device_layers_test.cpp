// A decoder layer's kernels on a device against the CPU's and against double, for all element
// types.

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <memory>
#include <vector>

#include "kernels/cuda/cuda_layers.h"
#include "kernels/device_layers.h"
#include "kernels/layer_kernels.h"
#include "tests/kernels/bytes.h"
#include "tests/kernels/device_array.h"

namespace tq::kernels::test {
namespace {

constexpr uint32_t kSeed = 20261128;
// A lane's worth, less than a warp's, a block's and one more, those of models, the largest.
constexpr int kSizes[] = {8, 40, 576, 1536, 2056, 4096, 5120, 8200, 16384};
constexpr float kEps = 1e-5f;
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();

std::unique_ptr<DeviceLayers> layers() { return cuda::make_cuda_layers(nullptr); }

// Of one rounding to the type: relative, and absolute where fp16 has subnormals.
double rounding(ElementType type, double value) {
  switch (type) {
    case ElementType::kF32: return 0;
    case ElementType::kF16: return std::max(0x1p-11 * std::abs(value), 0x1p-25);
    case ElementType::kBf16: return 0x1p-8 * std::abs(value);
  }
  return 0;
}

// The first index where got is not want within `relative` in fp32 and one rounding to the type.
ptrdiff_t first_wrong(ElementType type,
                      const std::vector<float>& got,
                      const std::vector<float>& want,
                      double relative) {
  if (got.size() != want.size()) return 0;
  const std::vector<float> stored = rounded(type, want);
  for (size_t i = 0; i < got.size(); ++i) {
    if (got[i] == stored[i]) continue;  // infinities too, of values that the type does not hold
    const auto value = double{want[i]};
    const double most = (relative * std::abs(value) + rounding(type, value)) * 1.01;
    if (!(std::abs(double{got[i]} - value) <= most)) return static_cast<ptrdiff_t>(i);
  }
  return kNowhere;
}

std::vector<float> row(const std::vector<float>& rows, int64_t index, int64_t size) {
  const auto first = rows.begin() + index * size;
  return {first, first + size};
}

// What the scalar backend makes of x and delta; x becomes their sum.
std::vector<float> normed(std::vector<float>& x,
                          const std::vector<float>& delta,
                          const std::vector<float>& weight) {
  std::vector<float> y(x.size());
  const auto size = static_cast<int64_t>(weight.size());
  find_layer_kernels("scalar").value().norm(
      {x, delta, weight, y, kEps, 0, static_cast<int64_t>(x.size()) / size});
  return y;
}

// Sums of squares err by 2^-24 for each of the two dozen additions on the way of a value; half of
// it is left behind the root. Mean, root, quotient and two products round once more each.
constexpr double kNormError = 32 * 0x1p-24;

}  // namespace

TEST_CASE("device layers: embeddings are looked up", "[device_layers]") {
  constexpr int kTable = 11;
  for (const ElementType type : kTypes) {
    for (const int size : kSizes) {
      INFO(name_of(type) << ", size " << size);
      const auto table = rounded(type, random_values(int64_t{kTable} * size, 1.0f, kSeed));
      const DeviceElements there(type, table);
      const DeviceArray<TokenId> tokens({10, 0, 3, 3, 7});
      const DeviceArray<float> y(poison(int64_t{6} * size));
      need(layers()->embed({.type = type,
                            .table = there.data(),
                            .tokens = tokens.data(),
                            .y = y.data(),
                            .n_rows = 5,
                            .size = size}));
      std::vector<float> want;
      for (const int token : {10, 0, 3, 3, 7}) {
        const auto of_token = row(table, token, size);
        want.insert(want.end(), of_token.begin(), of_token.end());
      }
      want.resize(static_cast<size_t>(6 * size), kPoison);
      CHECK(first_difference(y.read(), want) == kNowhere);
    }
  }
}

TEST_CASE("device layers: RMSNorm with the residual sum before it", "[device_layers]") {
  constexpr int kRows = 3;
  for (const ElementType type : kTypes) {
    for (const int size : kSizes) {
      const int64_t n = int64_t{kRows} * size;
      auto x = random_values(n, 3.0f, kSeed);
      for (int i = 0; i < size; ++i) x[static_cast<size_t>(size + i)] *= 100.0f;  // another rms
      const auto delta = rounded(type, random_values(n, 1.0f, kSeed + 1));
      const auto weight = random_values(size, 1.0f, kSeed + 2);
      for (const bool adds : {false, true}) {
        INFO(name_of(type) << ", size " << size << (adds ? ", with delta" : ""));
        auto sum = x;
        auto want = normed(sum, adds ? delta : std::vector<float>(), weight);
        want.resize(want.size() + 8, kPoison);
        auto after = x;
        after.resize(after.size() + 8, kPoison);
        const DeviceArray<float> x_there(after);
        const DeviceElements delta_there(type, delta);
        const DeviceArray<float> weight_there(weight);
        const DeviceElements y(type, std::vector<float>(want.size(), kPoison));
        need(layers()->norm({.type = type,
                             .x = x_there.data(),
                             .delta = adds ? delta_there.data() : nullptr,
                             .weight = weight_there.data(),
                             .y = y.data(),
                             .n_rows = kRows,
                             .size = size,
                             .eps = kEps}));
        std::copy(sum.begin(), sum.end(), after.begin());
        CHECK(first_difference(x_there.read(), after) == kNowhere);
        CHECK(first_wrong(type, y.read(), want, kNormError) == kNowhere);
      }
    }
  }
}

TEST_CASE("device layers: RMSNorm of some rows leaves x as it is", "[device_layers]") {
  constexpr int kRows = 7;
  constexpr int kSize = 576;
  const std::vector<int32_t> chosen{6, 2, 2};
  for (const ElementType type : kTypes) {
    INFO(name_of(type));
    const auto x = random_values(kRows * kSize, 3.0f, kSeed);
    const auto delta = rounded(type, random_values(kRows * kSize, 1.0f, kSeed + 1));
    const auto weight = random_values(kSize, 1.0f, kSeed + 2);
    for (const bool adds : {false, true}) {
      auto sum = x;
      const auto all = normed(sum, adds ? delta : std::vector<float>(), weight);
      std::vector<float> want;
      for (const int32_t index : chosen) {
        const auto of_row = row(all, index, kSize);
        want.insert(want.end(), of_row.begin(), of_row.end());
      }
      want.resize(want.size() + kSize, kPoison);
      const DeviceArray<float> x_there(x);
      const DeviceElements delta_there(type, delta);
      const DeviceArray<float> weight_there(weight);
      const DeviceArray<int32_t> rows(chosen);
      const DeviceElements y(type, std::vector<float>(want.size(), kPoison));
      need(layers()->norm({.type = type,
                           .x = x_there.data(),
                           .delta = adds ? delta_there.data() : nullptr,
                           .weight = weight_there.data(),
                           .y = y.data(),
                           .rows = rows.data(),
                           .n_rows = static_cast<int32_t>(chosen.size()),
                           .size = kSize,
                           .eps = kEps}));
      CHECK(first_difference(x_there.read(), x) == kNowhere);
      CHECK(first_wrong(type, y.read(), want, kNormError) == kNowhere);
    }
  }
}

TEST_CASE("device layers: RMSNorm in place", "[device_layers]") {
  constexpr int kSize = 1536;
  auto x = random_values(2 * kSize, 3.0f, kSeed);
  const auto delta = random_values(2 * kSize, 1.0f, kSeed + 1);
  const auto weight = random_values(kSize, 1.0f, kSeed + 2);
  const DeviceArray<float> in_x(x), in_delta(delta), sum(x), weight_there(weight);
  DeviceNormCall call{.x = in_x.data(),
                      .delta = in_delta.data(),
                      .weight = weight_there.data(),
                      .y = in_x.data(),
                      .n_rows = 2,
                      .size = kSize,
                      .eps = kEps};
  need(layers()->norm(call));
  call.x = sum.data();
  call.y = in_delta.data();
  need(layers()->norm(call));
  const auto want = normed(x, delta, weight);
  CHECK(first_wrong(ElementType::kF32, in_x.read(), want, kNormError) == kNowhere);
  CHECK(first_wrong(ElementType::kF32, in_delta.read(), want, kNormError) == kNowhere);
  CHECK(first_difference(sum.read(), x) == kNowhere);
}

TEST_CASE("device layers: SwiGLU, also far outside of what floats can exponentiate",
          "[device_layers]") {
  constexpr int kRows = 3;
  const float extremes[] = {0.0f, -0.0f, 87.9f, -87.9f, 89.0f, -89.0f, 6e4f, -6e4f};
  for (const ElementType type : kTypes) {
    for (const int size : kSizes) {
      INFO(name_of(type) << ", size " << size);
      auto gate_up = random_values(int64_t{2 * kRows} * size, 4.0f, kSeed);
      std::copy_n(extremes, std::size(extremes), gate_up.begin() + 2 * size);
      gate_up = rounded(type, gate_up);
      auto want = std::vector<float>(static_cast<size_t>(kRows * size));
      find_layer_kernels("scalar").value().swiglu({gate_up, want, size, 0, kRows});
      want.resize(want.size() + 8, kPoison);
      const DeviceElements gate_up_there(type, gate_up);
      const DeviceElements y(type, std::vector<float>(want.size(), kPoison));
      need(layers()->swiglu({.type = type,
                             .gate_up = gate_up_there.data(),
                             .y = y.data(),
                             .n_rows = kRows,
                             .size = size}));
      // Each of the two errs by layer_kernels.h's 4e-7; subnormals have fewer bits.
      auto got = y.read();
      for (auto* const values : {&got, &want}) {
        for (float& value : *values) value = std::abs(value) < 1e-35f ? 0.0f : value;
      }
      CHECK(first_wrong(type, got, want, 2 * 4e-7) == kNowhere);
    }
  }
}

TEST_CASE("device layers: a row depends on itself alone", "[device_layers]") {
  constexpr int kRows = 5;
  constexpr int kSize = 1536;
  for (const ElementType type : kTypes) {
    INFO(name_of(type));
    const auto good = rounded(type, random_values(kRows * kSize, 3.0f, kSeed));
    auto mixed = good;
    mixed[1 * kSize + 5] = kNan;
    mixed[3 * kSize + 7] = kInf;
    const DeviceArray<float> weight(std::vector<float>(kSize, 1.0f));
    const auto norm = [&](const std::vector<float>& x, int n_rows) {
      const DeviceArray<float> x_there(x);
      const DeviceElements y(type, poison(n_rows * kSize));
      need(layers()->norm({.type = type,
                           .x = x_there.data(),
                           .weight = weight.data(),
                           .y = y.data(),
                           .n_rows = n_rows,
                           .size = kSize,
                           .eps = kEps}));
      return y.read();
    };
    const auto swiglu = [&](const std::vector<float>& gate_up, int n_rows) {
      const DeviceElements there(type, gate_up);
      const DeviceElements y(type, poison(n_rows * kSize / 2));
      need(layers()->swiglu({.type = type,
                             .gate_up = there.data(),
                             .y = y.data(),
                             .n_rows = n_rows,
                             .size = kSize / 2}));
      return y.read();
    };
    const auto all_normed = norm(mixed, kRows);
    const auto all_products = swiglu(mixed, kRows);
    for (int r = 0; r < kRows; ++r) {
      INFO("row " << r);
      if (r % 2 == 1) {
        // NaN spreads over its row; infinity leaves 0 of finite values, and NaN of itself.
        CHECK(std::isnan(all_normed[static_cast<size_t>(r * kSize + (r == 1 ? 0 : 7))]));
        CHECK(!std::isfinite(all_products[static_cast<size_t>(r * kSize / 2 + (r == 1 ? 5 : 7))]));
        continue;
      }
      const auto alone = row(good, r, kSize);
      CHECK(first_difference(row(all_normed, r, kSize), norm(alone, 1)) == kNowhere);
      CHECK(first_difference(row(all_products, r, kSize / 2), swiglu(alone, 1)) == kNowhere);
    }
  }
}

}  // namespace tq::kernels::test
