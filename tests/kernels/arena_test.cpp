// The arena: zeroed, aligned, a place for every part, and an error where the memory cannot be had.
#include <catch2/catch.hpp>

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "kernels/paged_attention.h"
#include "tests/kernels/regions.h"

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

TEST_CASE("an arena is zeroed, aligned, and holds every part once", "[arena]") {
  const auto backend = small_backend();
  const PoolSizes sizes{.hot_blocks = 17, .sealed_blocks = 7};  // slabs of 16 blocks
  const KvArena arena = backend->allocate(sizes).value();
  const quant::BlockLayout& layout = backend->layout();
  const RegionBytes bytes = arena_regions(layout, sizes);
  CHECK(bytes.hot == 3 * 2 * 32 * layout.hot_part_bytes());
  CHECK(bytes.codes == 3 * 2 * 16 * layout.code_part_bytes());
  CHECK(arena_bytes(layout, sizes) == bytes.hot + bytes.codes + bytes.scales + bytes.exponents);
  for (const test::Region region : test::kRegions) {
    const std::span<std::byte> all = test::bytes_of(arena, region);
    CAPTURE(static_cast<int>(region));
    CHECK(std::ranges::all_of(all, [](std::byte byte) { return byte == std::byte{0}; }));
    std::vector<int> owners(all.size(), 0);
    for (int i = 0; i < test::n_blocks(arena, region); ++i) {
      test::for_parts(arena, BlockId{i}, [&](TilePlace place) {
        const auto part = test::part_of(arena, region, place);
        const auto at = static_cast<size_t>(part.data() - all.data());
        REQUIRE(at + part.size() <= all.size());
        for (size_t byte = 0; byte < part.size(); ++byte) ++owners[at + byte];
        const auto address = reinterpret_cast<uintptr_t>(part.data());
        const bool is_vectors = region == test::Region::kHot || region == test::Region::kCodes;
        CHECK(address % (is_vectors ? 64 : region == test::Region::kScales ? 32 : 2) == 0);
        if (region == test::Region::kHot) CHECK(arena.hot(place).k == part.data());
        if (region == test::Region::kCodes) CHECK(arena.sealed(place).k == part.data());
        // Neighbours in a slab are neighbours in memory.
        if (i % 16 == 0) return;
        place.block = BlockId{i - 1};
        const auto before = test::part_of(arena, region, place);
        CHECK(part.data() == before.data() + before.size());
      });
    }
    CHECK(*std::ranges::max_element(owners) == 1);
  }
}

TEST_CASE("empty pools are allowed, negative and impossible ones are errors", "[arena]") {
  const auto backend = small_backend();
  CHECK(backend->allocate({}).ok());
  CHECK(backend->allocate({.hot_blocks = -1, .sealed_blocks = 0}).error().code ==
        Code::kInvalidArgument);
  // 2^31 blocks of 73,728 bytes in three layers: 475 TB, more than an address space of 47 bits
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
