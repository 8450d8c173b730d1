// The arena: zeroed, aligned, laid out layer by layer, and an error where the memory cannot be had.
#include <catch2/catch.hpp>

#include <algorithm>
#include <cstdint>

#include "kernels/paged_attention.h"

namespace tq::kernels {
namespace {

std::unique_ptr<PagedAttention> small_backend() {
  AttentionOptions options;
  options.shape = {.n_layers = 3, .n_kv_heads = 2, .head_dim = 96};
  options.kv.formats = {KvFormat::kTq3, KvFormat::kTq2};
  options.n_heads = 2;
  return make_backend("auto", options).value();
}

}  // namespace

TEST_CASE("an arena is zeroed, aligned, and its blocks do not overlap", "[arena]") {
  const auto backend = small_backend();
  const PoolSizes sizes{.hot_blocks = 5, .sealed_blocks = 7};
  const KvArena arena = backend->allocate(sizes).value();
  const quant::BlockLayout& layout = backend->layout();
  const auto aligned = [](const void* p) { return reinterpret_cast<uintptr_t>(p) % 64 == 0; };
  const auto zero = [](const void* p, size_t n) {
    const auto* const begin = static_cast<const unsigned char*>(p);
    return std::all_of(begin, begin + n, [](unsigned char byte) { return byte == 0; });
  };
  const ArenaBytes parts = arena_parts(layout, sizes);
  CHECK(parts.hot == 3 * 5 * layout.hot_bytes());
  CHECK(arena_bytes(layout, sizes) == parts.hot + parts.codes + parts.scales);
  CHECK(zero(arena.hot(0, BlockId{0}), parts.hot));
  CHECK(zero(arena.codes(0, BlockId{0}), parts.codes));
  CHECK(zero(arena.scales(0, BlockId{0}), parts.scales));
  for (LayerIdx layer = 0; layer < 3; ++layer) {
    for (int i = 0; i < 5; ++i) {
      CHECK(aligned(arena.hot(layer, BlockId{i})));
      CHECK(arena.hot(layer, BlockId{i}) ==
            arena.hot(0, BlockId{0}) + static_cast<size_t>(layer * 5 + i) * layout.hot_bytes());
    }
    for (int i = 0; i < 7; ++i) {
      CHECK(aligned(arena.codes(layer, BlockId{i})));
      CHECK(arena.codes(layer, BlockId{i}) ==
            arena.codes(0, BlockId{0}) +
                static_cast<size_t>(layer * 7 + i) * layout.sealed_code_bytes());
      CHECK(arena.scales(layer, BlockId{i}) ==
            arena.scales(0, BlockId{0}) +
                static_cast<size_t>(layer * 7 + i) * layout.sealed_scale_bytes());
    }
  }
}

TEST_CASE("empty pools are allowed, negative and impossible ones are errors", "[arena]") {
  const auto backend = small_backend();
  CHECK(backend->allocate({}).ok());
  CHECK(backend->allocate({.hot_blocks = -1, .sealed_blocks = 0}).error().code ==
        Code::kInvalidArgument);
  // 2^31 - 1 blocks of 73,728 bytes in three layers: 475 TB, more than an address space of 47 bits
  // holds.
  const PoolSizes huge{.hot_blocks = INT32_MAX, .sealed_blocks = 0};
  const auto arena = backend->allocate(huge);
  REQUIRE(!arena.ok());
  CHECK(arena.error().code == Code::kIo);
  const uint64_t bytes = arena_bytes(backend->layout(), huge);
  INFO(arena.error().describe());
  // The message names the bytes asked of the system: the pool and two pages.
  CHECK(arena.error().message.find(std::to_string(bytes + 8192)) != std::string::npos);
}

}  // namespace tq::kernels
