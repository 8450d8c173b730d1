// append() leaves the bytes of "scalar", whatever the rotation, and touches nothing else.
#include <algorithm>
#include <catch2/catch.hpp>
#include <span>
#include <vector>

#include "quant/random.h"
#include "tests/kernels/backends.h"
#include "tests/kernels/bytes.h"
#include "tests/kernels/regions.h"

namespace tq::kernels::test {
namespace {

constexpr uint64_t kSeed = 20261127;
constexpr int kPoison = 0xff;

// Chunks that start and end at even and odd slots, and cross tiles and blocks.
PagedBatch make_batch(int block_tokens) {
  struct Chunk {
    int32_t first;
    int32_t n_rows;
  };
  PagedBatch batch;
  batch.token_indptr = batch.hot_indptr = batch.sealed_indptr = {0};
  int32_t next_block = 9;
  for (const Chunk chunk : {Chunk{0, 1}, {1, 1}, {31, 34}, {6, 3}, {63, 2}, {0, 0}, {2, 97}}) {
    batch.first_position.push_back(chunk.first);
    batch.n_tokens += chunk.n_rows;
    ++batch.n_seqs;
    const int32_t end = chunk.first + chunk.n_rows;
    for (int32_t start = 0; start < end; start += block_tokens) {
      batch.hot_blocks.push_back(BlockId{next_block});
      batch.hot_first.push_back(start);
      next_block = (next_block + 7) % 20;  // every block once
    }
    batch.token_indptr.push_back(batch.n_tokens);
    batch.hot_indptr.push_back(static_cast<int32_t>(batch.hot_blocks.size()));
    batch.sealed_indptr.push_back(0);
  }
  return batch;
}

// The hot pool after one step's append in layer 1 of 2.
std::vector<std::byte> append(std::string_view name,
                              const AttentionOptions& options,
                              const std::vector<float>& k,
                              const std::vector<float>& v) {
  const auto backend = make_test_backend(name, options);
  KvArena arena = backend->allocate({.hot_blocks = 20, .sealed_blocks = 1}).value();
  const std::span<std::byte> hot = bytes_of(arena, Region::kHot);
  std::ranges::fill(hot, std::byte{kPoison});
  const PagedBatch batch = make_batch(options.kv.block_tokens);
  const AttnPlan* const plan = backend->plan(batch, arena).value();
  REQUIRE(backend->append({.plan = plan, .arena = &arena, .layer = 1, .k = k, .v = v}).ok());
  return {hot.begin(), hot.end()};
}

}  // namespace

TEST_CASE("every backend appends any rows to the same bytes", "[append]") {
  INFO("seed " << kSeed);
  quant::Rng rng(kSeed, quant::RngStream::kData);
  for (const std::string& name : backends_under_test()) {
    for (const int head_dim : {64, 80, 96, 128, 256}) {
      for (const auto& [format, rotation] : {std::pair{KvFormat::kTq4, RotationKind::kAuto},
                                             std::pair{KvFormat::kTq4, RotationKind::kQr},
                                             std::pair{KvFormat::kBf16, RotationKind::kAuto}}) {
        AttentionOptions options;
        options.shape = {.n_layers = 2, .n_kv_heads = 3, .head_dim = head_dim};
        options.kv.formats = {format, format};
        options.kv.rotation = rotation;
        options.kv.block_tokens = head_dim == 128 ? 64 : 32;
        options.n_heads = 6;
        const PagedBatch batch = make_batch(options.kv.block_tokens);
        std::vector<float> k(static_cast<size_t>(batch.n_tokens * 3 * head_dim)), v(k.size());
        for (float& value : k) value = static_cast<float>(rng.gaussian());
        for (float& value : v) value = static_cast<float>(rng.gaussian()) * 1e-3f;
        CAPTURE(name, head_dim, to_string(format), static_cast<int>(rotation));
        const auto got = append(name, options, k, v);
        CHECK(first_difference(got, append("scalar", options, k, v)) == kNowhere);
      }
    }
  }
}

}  // namespace tq::kernels::test
