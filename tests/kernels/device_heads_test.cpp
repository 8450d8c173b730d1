// From a projection to heads on a device, against double; and what DeviceLayers refuses.

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <memory>
#include <numeric>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/cuda/cuda_layers.h"
#include "kernels/device_layers.h"
#include "tests/kernels/bytes.h"
#include "tests/kernels/device_array.h"

namespace tq::kernels::test {
namespace {

constexpr uint32_t kSeed = 20261128;
constexpr float kEps = 1e-6f;

std::unique_ptr<DeviceLayers> layers() { return cuda::make_cuda_layers(nullptr); }

// Vectors that are empty are not given.
struct Heads {
  ElementType type = ElementType::kF32;
  int n_heads = 9;
  int n_kv_heads = 3;
  int head_dim = 64;
  bool interleaved = false;
  float magnitude = 1.0f;
  std::vector<float> qkv;
  std::vector<float> bias;
  std::vector<float> q_norm;
  std::vector<float> k_norm;
  std::vector<int32_t> positions;
  std::vector<float> inverse_frequencies;

  int row_heads() const { return n_heads + 2 * n_kv_heads; }
  int n_rows() const { return static_cast<int>(positions.size()); }
  int n_pairs() const { return static_cast<int>(inverse_frequencies.size()); }
};

Heads make_heads(int head_dim, int n_pairs, std::vector<int32_t> positions) {
  Heads heads;
  heads.head_dim = head_dim;
  heads.positions = std::move(positions);
  heads.qkv = random_values(int64_t{heads.n_rows()} * heads.row_heads() * head_dim, 2.0f, kSeed);
  for (int i = 0; i < n_pairs; ++i) {
    heads.inverse_frequencies.push_back(
        static_cast<float>(std::pow(500000.0, -static_cast<double>(i) / n_pairs)));
  }
  return heads;
}

// A value, and what errors of 2^-24 are relative to: what is added up to it.
struct Wanted {
  double value = 0;
  double scale = 0;
};

// One head, [head_dim], in double. Angles are fp32, as those of models/rope.cpp.
std::vector<Wanted> reference(const Heads& heads, int row, int head) {
  const auto dim = static_cast<size_t>(heads.head_dim);
  const auto start = (static_cast<size_t>(row) * heads.row_heads() + head) * dim;
  std::vector<double> x(dim);
  for (size_t i = 0; i < dim; ++i) {
    x[i] = double{heads.qkv[start + i]};
    if (!heads.bias.empty()) x[i] += double{heads.bias[static_cast<size_t>(head) * dim + i]};
  }
  const bool is_v = head >= heads.n_heads + heads.n_kv_heads;
  if (!is_v && !heads.q_norm.empty()) {
    const auto& weight = head < heads.n_heads ? heads.q_norm : heads.k_norm;
    const double squares = std::inner_product(x.begin(), x.end(), x.begin(), 0.0);
    const double rms = std::sqrt(squares / static_cast<double>(dim) + double{kEps});
    for (size_t i = 0; i < dim; ++i) x[i] = x[i] / rms * double{weight[i]};
  }
  std::vector<Wanted> wanted(dim);
  for (size_t i = 0; i < dim; ++i) wanted[i] = {x[i], std::abs(x[i])};
  if (is_v) return wanted;
  const auto n_pairs = static_cast<size_t>(heads.n_pairs());
  for (size_t p = 0; p < n_pairs; ++p) {
    const size_t i = heads.interleaved ? 2 * p : p;
    const size_t j = heads.interleaved ? 2 * p + 1 : p + n_pairs;
    const float angle = static_cast<float>(heads.positions[static_cast<size_t>(row)]) *
                        heads.inverse_frequencies[p];
    const double magnitude{heads.magnitude};
    const double c = std::cos(double{angle}) * magnitude, s = std::sin(double{angle}) * magnitude;
    const double scale = (std::abs(x[i]) + std::abs(x[j])) * std::abs(magnitude);
    wanted[i] = {x[i] * c - x[j] * s, scale};
    wanted[j] = {x[j] * c + x[i] * s, scale};
  }
  return wanted;
}

struct Output {
  std::vector<float> q, k, v;
};

Output run(const Heads& heads) {
  const DeviceElements qkv(heads.type, heads.qkv);
  const DeviceArray<float> bias(heads.bias), q_norm(heads.q_norm), k_norm(heads.k_norm);
  const DeviceArray<float> frequencies(heads.inverse_frequencies);
  const DeviceArray<int32_t> positions(heads.positions);
  const int64_t head_floats = int64_t{heads.n_rows()} * heads.head_dim;
  const DeviceArray<float> q(poison(head_floats * heads.n_heads));
  const DeviceArray<float> k(poison(head_floats * heads.n_kv_heads));
  const DeviceArray<float> v(poison(head_floats * heads.n_kv_heads));
  need(layers()->heads({.type = heads.type,
                        .qkv = qkv.data(),
                        .bias = heads.bias.empty() ? nullptr : bias.data(),
                        .q_norm = heads.q_norm.empty() ? nullptr : q_norm.data(),
                        .k_norm = heads.k_norm.empty() ? nullptr : k_norm.data(),
                        .eps = kEps,
                        .positions = positions.data(),
                        .inverse_frequencies = frequencies.data(),
                        .n_pairs = heads.n_pairs(),
                        .magnitude = heads.magnitude,
                        .interleaved = heads.interleaved,
                        .n_heads = heads.n_heads,
                        .n_kv_heads = heads.n_kv_heads,
                        .head_dim = heads.head_dim,
                        .n_rows = heads.n_rows(),
                        .q = q.data(),
                        .k = k.data(),
                        .v = v.data()}));
  return {q.read(), k.read(), v.read()};
}

// Bias and norm round 2 + 3 + (8 + 5 additions of squares) / 2 times; cosine and sine have 3.1: an
// angle of up to pi rounds by 1.6, they themselves by 1, their magnitude by 0.5; two products and
// their sum have 2.
constexpr double kError = 20 * 0x1p-24;

// The number of values that are wrong.
int count_wrong(const Heads& heads) {
  const Output output = run(heads);
  const auto dim = static_cast<size_t>(heads.head_dim);
  int n_wrong = 0;
  for (int row = 0; row < heads.n_rows(); ++row) {
    for (int head = 0; head < heads.row_heads(); ++head) {
      const int kv_head = head - heads.n_heads;
      const std::vector<float>& rows = kv_head < 0                  ? output.q
                                       : kv_head < heads.n_kv_heads ? output.k
                                                                    : output.v;
      const int n = kv_head < 0 ? heads.n_heads : heads.n_kv_heads;
      const int index = kv_head < 0 ? head : kv_head % heads.n_kv_heads;
      const auto start = (static_cast<size_t>(row) * n + index) * dim;
      const std::vector<Wanted> wanted = reference(heads, row, head);
      for (size_t i = 0; i < dim; ++i) {
        const double error = std::abs(double{rows[start + i]} - wanted[i].value);
        n_wrong += !(error <= kError * wanted[i].scale);
      }
    }
  }
  return n_wrong;
}

}  // namespace

TEST_CASE("device layers: heads are turned by their positions", "[device_layers]") {
  for (const int head_dim : {64, 80, 96, 128, 256}) {
    for (const int n_pairs : {head_dim / 2, head_dim / 4, 3}) {
      Heads heads = make_heads(head_dim, n_pairs, {0, 1, 1000003, 131071, 4095});
      for (const ElementType type : kTypes) {
        heads.type = type;
        heads.qkv = rounded(type, heads.qkv);
        heads.interleaved = !heads.interleaved;
        for (const float magnitude : {1.0f, 1.2079441f}) {
          heads.magnitude = magnitude;
          INFO(name_of(type) << ", head_dim " << head_dim << ", pairs " << n_pairs
                             << (heads.interleaved ? ", interleaved" : "") << " x " << magnitude);
          CHECK(count_wrong(heads) == 0);
        }
      }
    }
  }
}

TEST_CASE("device layers: biases are added and heads normed before they turn", "[device_layers]") {
  for (const int head_dim : {64, 80, 128, 256}) {
    Heads heads = make_heads(head_dim, head_dim / 2, {7, 70001, 3});
    const auto bias = random_values(int64_t{heads.row_heads()} * head_dim, 30.0f, kSeed + 1);
    const auto q_norm = random_values(head_dim, 1.0f, kSeed + 2);
    const auto k_norm = random_values(head_dim, 1.0f, kSeed + 3);
    for (const ElementType type : kTypes) {
      heads.type = type;
      heads.qkv = rounded(type, heads.qkv);
      for (const bool adds : {false, true}) {
        for (const bool norms : {false, true}) {
          INFO(name_of(type) << ", head_dim " << head_dim << (adds ? ", bias" : "")
                             << (norms ? ", norms" : ""));
          heads.bias = adds ? bias : std::vector<float>();
          heads.q_norm = norms ? q_norm : std::vector<float>();
          heads.k_norm = norms ? k_norm : std::vector<float>();
          heads.interleaved = norms != adds;
          CHECK(count_wrong(heads) == 0);
        }
      }
    }
  }
}

TEST_CASE("device layers: numbers of heads that fill no block", "[device_layers]") {
  for (const auto& [n_heads, n_kv_heads] : {std::pair{1, 1}, {4, 2}, {5, 1}, {14, 2}, {32, 8}}) {
    INFO(n_heads << " heads, " << n_kv_heads << " of keys");
    Heads heads = make_heads(256, 128, {12, 13});
    heads.n_heads = n_heads;
    heads.n_kv_heads = n_kv_heads;
    heads.qkv = random_values(int64_t{2} * heads.row_heads() * 256, 2.0f, kSeed);
    CHECK(count_wrong(heads) == 0);
  }
}

TEST_CASE("device layers: heads depend on their own row alone", "[device_layers]") {
  Heads heads = make_heads(128, 64, {5, 900, 12});
  heads.q_norm = heads.k_norm = random_values(128, 1.0f, kSeed + 2);
  const Output whole = run(heads);
  const auto row_floats = static_cast<ptrdiff_t>(heads.row_heads()) * 128;
  heads.qkv[static_cast<size_t>(row_floats) + 3] = std::numeric_limits<float>::quiet_NaN();
  heads.qkv[static_cast<size_t>(row_floats) * 2 - 1] = std::numeric_limits<float>::infinity();
  const Output mixed = run(heads);
  CHECK(std::isnan(mixed.q[9 * 128 + 3]));
  CHECK(std::isnan(mixed.q[9 * 128 + 3 + 64]));
  CHECK_FALSE(std::isnan(mixed.q[10 * 128]));  // another head of that row
  CHECK(std::isinf(mixed.v[2 * 3 * 128 - 1]));
  for (const ptrdiff_t row : {0, 2}) {
    Heads alone = heads;
    alone.positions = {heads.positions[static_cast<size_t>(row)]};
    alone.qkv = {heads.qkv.begin() + row * row_floats, heads.qkv.begin() + (row + 1) * row_floats};
    const Output one = run(alone);
    const auto same = [&](const std::vector<float>& all, const std::vector<float>& of_one) {
      const auto first = all.begin() + row * static_cast<ptrdiff_t>(of_one.size());
      return std::equal(of_one.begin(), of_one.end(), first);
    };
    CHECK((same(mixed.q, one.q) && same(whole.q, one.q)));
    CHECK((same(mixed.k, one.k) && same(whole.k, one.k)));
    CHECK((same(mixed.v, one.v) && same(whole.v, one.v)));
  }
}

TEST_CASE("device layers: refusals name the field, no rows are no work", "[device_layers]") {
  const auto device = layers();
  const DeviceArray<float> memory(std::vector<float>(448));
  float* const at = memory.data();
  const auto refused = [](const Result<void>& result, std::string_view field) {
    return !result.ok() && result.error().code == Code::kInvalidArgument &&
           result.error().where == field && !result.error().message.empty();
  };

  const auto embed = [&](auto change) {
    EmbedCall call{.table = at, .tokens = reinterpret_cast<TokenId*>(at), .y = at + 32};
    call.n_rows = 1, call.size = 8;
    change(call);
    return device->embed(call);
  };
  CHECK(embed([](auto&) {}).ok());
  CHECK(embed([](auto& c) { c = {.n_rows = 0, .size = 8}; }).ok());
  CHECK(refused(embed([](auto& c) { c.size = 0; }), "size"));
  CHECK(refused(embed([](auto& c) { c.size = 12; }), "size"));
  CHECK(refused(embed([](auto& c) { c.size = 1 << 21; }), "size"));
  CHECK(refused(embed([](auto& c) { c.n_rows = -1; }), "n_rows"));
  CHECK(refused(embed([](auto& c) { c.n_rows = 65536; }), "n_rows"));
  CHECK(refused(embed([](auto& c) { c.type = ElementType{7}; }), "type"));
  CHECK(refused(embed([](auto& c) { c.table = nullptr; }), "table"));
  CHECK(refused(embed([](auto& c) { c.tokens = nullptr; }), "tokens"));
  CHECK(refused(embed([](auto& c) { ++c.y; }), "y"));

  const auto norm = [&](auto change) {
    DeviceNormCall call{.x = at, .weight = at + 8, .y = at + 16, .n_rows = 1, .size = 8};
    change(call);
    return device->norm(call);
  };
  CHECK(norm([](auto&) {}).ok());
  CHECK(norm([](auto& c) { c = {.n_rows = 0, .size = 8}; }).ok());
  CHECK(refused(norm([](auto& c) { c.size = 16392; }), "size"));
  CHECK(refused(norm([](auto& c) { c.eps = -1.0f; }), "eps"));
  CHECK(refused(norm([](auto& c) { c.x = nullptr; }), "x"));
  CHECK(refused(norm([](auto& c) { ++c.weight; }), "weight"));
  CHECK(refused(norm([&](auto& c) { c.delta = at + 1; }), "delta"));

  const auto swiglu = [&](auto change) {
    DeviceSwigluCall call{.gate_up = at, .y = at + 32, .n_rows = 1, .size = 8};
    change(call);
    return device->swiglu(call);
  };
  CHECK(swiglu([](auto&) {}).ok());
  CHECK(refused(swiglu([](auto& c) { c.size = 4; }), "size"));
  CHECK(refused(swiglu([](auto& c) { c.gate_up = nullptr; }), "gate_up"));

  const auto heads = [&](auto change) {
    HeadsCall call{.qkv = at, .positions = reinterpret_cast<int32_t*>(at)};
    call.inverse_frequencies = at;
    call.n_pairs = 32, call.n_heads = call.n_kv_heads = call.n_rows = 1;
    call.head_dim = 64;
    call.q = at + 256, call.k = at + 320, call.v = at + 384;
    change(call);
    return device->heads(call);
  };
  CHECK(heads([](auto&) {}).ok());
  CHECK(heads([](auto& c) { c.n_pairs = 0, c.positions = nullptr; }).ok());
  CHECK(refused(heads([](auto& c) { c.n_heads = 0; }), "n_heads"));
  CHECK(refused(heads([](auto& c) { c.n_kv_heads = 0; }), "n_kv_heads"));
  CHECK(refused(heads([](auto& c) { c.head_dim = 0; }), "head_dim"));
  CHECK(refused(heads([](auto& c) { c.head_dim = 72; }), "head_dim"));
  CHECK(refused(heads([](auto& c) { c.n_pairs = 33; }), "n_pairs"));
  CHECK(refused(heads([](auto& c) { c.magnitude = INFINITY; }), "magnitude"));
  CHECK(refused(heads([&](auto& c) { c.q_norm = at; }), "k_norm"));
  CHECK(refused(heads([](auto& c) { c.positions = nullptr; }), "positions"));
  CHECK(refused(heads([](auto& c) { c.qkv = nullptr; }), "qkv"));
}

}  // namespace tq::kernels::test
