#pragma once
// The regions of an arena as bytes, and the parts of a block in them, for tests that look at memory
// as a whole.
#include <array>
#include <cstddef>
#include <span>

#include "kernels/kv_arena.h"

namespace tq::kernels::test {

enum class Region { kHot, kCodes, kScales, kExponents };
inline constexpr std::array kRegions{Region::kHot, Region::kCodes, Region::kScales,
                                     Region::kExponents};

inline size_t part_bytes(const quant::BlockLayout& layout, Region region) {
  switch (region) {
    case Region::kHot: return layout.hot_part_bytes();
    case Region::kCodes: return layout.code_part_bytes();
    case Region::kScales: return layout.scale_part_bytes();
    case Region::kExponents: return layout.exponent_part_bytes();
  }
  return 0;
}

inline int n_blocks(const KvArena& arena, Region region) {
  return region == Region::kHot ? arena.sizes().hot_blocks : arena.sizes().sealed_blocks;
}

// A block's part of one layer and KV head.
inline std::span<std::byte> part_of(
    const KvArena& arena, Region region, LayerIdx layer, int kv_head, BlockId block) {
  const quant::BlockLayout& layout = arena.layout();
  const size_t bytes = part_bytes(layout, region);
  std::byte* const start =
      region == Region::kHot      ? arena.hot(layer, block)
      : region == Region::kCodes  ? arena.codes(layer, block)
      : region == Region::kScales ? reinterpret_cast<std::byte*>(arena.scales(layer, block))
                                  : reinterpret_cast<std::byte*>(arena.exponents(layer, block));
  return {start + static_cast<size_t>(kv_head * layout.slab_blocks()) * bytes, bytes};
}

// All bytes of a region, those of blocks that only fill up a slab too.
inline std::span<std::byte> bytes_of(const KvArena& arena, Region region) {
  if (n_blocks(arena, region) == 0) return {};
  const quant::BlockLayout& layout = arena.layout();
  const auto n_parts = static_cast<size_t>(layout.pool_parts(n_blocks(arena, region)));
  return {part_of(arena, region, 0, 0, BlockId{0}).data(),
          static_cast<size_t>(layout.shape().n_layers) * n_parts * part_bytes(layout, region)};
}

}  // namespace tq::kernels::test
