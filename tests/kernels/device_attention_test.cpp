// What DeviceAttention adds to the seam: rows of 16 bits, and errors that come with a later call.
#include <catch2/catch.hpp>
#include <cmath>
#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <stdexcept>
#include <utility>
#include <vector>

#include "kernels/cuda/cuda_backend.h"
#include "kernels/device_attention.h"
#include "quant/float16.h"
#include "quant/random.h"

namespace tq::kernels {
namespace {

constexpr uint64_t kSeed = 20261128;
constexpr int kRows = 70;  // of one sequence from position 0: three hot blocks
constexpr int kHeads = 6;

template <class T>
T need(Result<T> result) {
  if (!result.ok()) throw std::runtime_error(result.error().describe());
  return std::move(result).value();
}

AttentionOptions make_options(int head_dim) {
  AttentionOptions options;
  options.shape = {.n_layers = 1, .n_kv_heads = 2, .head_dim = head_dim};
  options.n_heads = kHeads;
  return options;
}

PagedBatch make_batch() {
  PagedBatch batch;
  batch.n_tokens = kRows;
  batch.n_seqs = 1;
  batch.token_indptr = {0, kRows};
  batch.first_position = {0};
  batch.hot_indptr = {0, 3};
  batch.hot_blocks = {BlockId{2}, BlockId{0}, BlockId{3}};
  batch.hot_first = {0, 32, 64};
  batch.sealed_indptr = {0, 0};
  return batch;
}

std::vector<float> gaussian(quant::Rng& rng, size_t n) {
  std::vector<float> values(n);
  for (float& value : values) value = static_cast<float>(rng.gaussian());
  return values;
}

// A device with a sequence's rows appended.
struct Device {
  explicit Device(int head_dim)
      : backend(need(cuda::make_device_attention(make_options(head_dim), nullptr))),
        arena(need(backend->allocate({.hot_blocks = 4, .sealed_blocks = 4}))),
        plan(need(backend->plan(make_batch(), arena))) {}

  KvArena::Region put(const std::vector<float>& rows) {
    const auto bytes = std::as_bytes(std::span(rows));
    KvArena::Region region = need(backend->allocate_bytes("rows", bytes.size()));
    REQUIRE(backend->write(region.get(), bytes).ok());
    return region;
  }
  Result<void> append(const std::vector<float>& k, const std::vector<float>& v) {
    const KvArena::Region there_k = put(k), there_v = put(v);
    return backend->append({.plan = plan,
                            .arena = &arena,
                            .k = {reinterpret_cast<const float*>(there_k.get()), k.size()},
                            .v = {reinterpret_cast<const float*>(there_v.get()), v.size()}});
  }
  template <class T>
  std::vector<T> attend_to(const std::vector<float>& q, ElementType type) {
    const KvArena::Region there_q = put(q);
    const KvArena::Region there = need(backend->allocate_bytes("out", q.size() * sizeof(T)));
    const AttendCall call{.plan = plan,
                          .arena = &arena,
                          .scale = 0.125f,
                          .q = {reinterpret_cast<const float*>(there_q.get()), q.size()},
                          .out = {}};
    REQUIRE(backend->attend_to(call, type, there.get()).ok());
    std::vector<T> out(q.size());
    REQUIRE(backend->read(std::as_writable_bytes(std::span(out)), there.get()).ok());
    return out;
  }

  std::unique_ptr<DeviceAttention> backend;
  KvArena arena;
  const AttnPlan* plan;
};

}  // namespace

TEST_CASE("rows of 16 bits are those of fp32, rounded once", "[device]") {
  INFO("seed " << kSeed);
  quant::Rng rng(kSeed, quant::RngStream::kData);
  for (const int head_dim : {64, 80}) {
    Device device(head_dim);
    const size_t n_kv = static_cast<size_t>(kRows) * 2 * static_cast<size_t>(head_dim);
    std::vector<float> v = gaussian(rng, n_kv);
    for (size_t i = 0; i < v.size() / 2; ++i) v[i] *= 1e5f;  // the first rows exceed fp16
    REQUIRE(device.append(gaussian(rng, n_kv), v).ok());
    const std::vector<float> q =
        gaussian(rng, static_cast<size_t>(kRows) * kHeads * static_cast<size_t>(head_dim));
    const auto whole = device.attend_to<float>(q, ElementType::kF32);
    const auto halves = device.attend_to<uint16_t>(q, ElementType::kF16);
    const auto brains = device.attend_to<uint16_t>(q, ElementType::kBf16);
    CAPTURE(head_dim);
    size_t n_wrong = 0, n_infinite = 0;
    for (size_t i = 0; i < whole.size(); ++i) {
      n_wrong += halves[i] != quant::float_to_fp16(whole[i]);
      n_wrong += brains[i] != quant::float_to_bf16(whole[i]);
      n_infinite += (halves[i] & 0x7fffu) == 0x7c00u;
    }
    CHECK(n_wrong == 0);
    CHECK(n_infinite > 0);
    CHECK(n_infinite < whole.size());
  }
}

TEST_CASE("a key bias that was not uploaded is refused", "[device]") {
  Device device(64);
  const TileTurns turns({.frequencies = std::vector<float>(32, 0.1f)}, 128);
  const KeyBias bias = need(KeyBias::create(std::vector<float>(128, 1.0f), 2, turns));
  const KeyBias other = need(KeyBias::create(std::vector<float>(128, 1.0f), 2, turns));
  REQUIRE(device.backend->upload(other).ok());
  std::vector<float> q(static_cast<size_t>(kRows) * kHeads * 64);
  const auto refused = device.backend->attend({.plan = device.plan,
                                               .arena = &device.arena,
                                               .scale = 0.125f,
                                               .key_bias = &bias,
                                               .q = q,
                                               .out = q});
  CHECK(refused.error().where == "key_bias");
}

TEST_CASE("a row that cannot be sealed is told by the next call that waits, once", "[device]") {
  Device device(64);
  std::vector<float> k(static_cast<size_t>(kRows) * 2 * 64, 0.5f);
  k[3 * 128 + 7] = std::numeric_limits<float>::quiet_NaN();
  REQUIRE(device.append(k, k).ok());
  const auto seal = [&](int hot) {
    return device.backend->seal(
        {.arena = &device.arena, .hot = BlockId{hot}, .sealed = BlockId{1}});
  };
  REQUIRE(seal(0).ok());  // the rows behind the bad one
  REQUIRE(device.backend->wait().ok());
  REQUIRE(seal(2).ok());
  REQUIRE(seal(0).ok());
  CHECK(device.backend->wait().error().code == Code::kInternal);
  CHECK(device.backend->wait().ok());
  REQUIRE(seal(2).ok());
  std::byte byte{};
  CHECK(device.backend->read(std::span(&byte, 1), device.arena.hot(0)).error().code ==
        Code::kInternal);
  CHECK(device.backend->read(std::span(&byte, 1), device.arena.hot(0)).ok());
}

}  // namespace tq::kernels
