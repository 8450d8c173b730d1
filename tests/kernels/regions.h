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

// Start of a layer.
inline std::byte* start_of(const KvArena& arena, Region region, LayerIdx layer) {
  switch (region) {
    case Region::kHot: return arena.hot(layer);
    case Region::kCodes: return arena.codes(layer);
    case Region::kScales: return reinterpret_cast<std::byte*>(arena.scales(layer));
    case Region::kExponents: return reinterpret_cast<std::byte*>(arena.exponents(layer));
  }
  return nullptr;
}

inline std::span<std::byte> part_of(const KvArena& arena, Region region, const TilePlace& place) {
  const quant::BlockLayout& layout = arena.layout();
  const size_t bytes = part_bytes(layout, region);
  const int64_t part =
      layout.part(raw(place.block), place.tile) + place.kv_head * quant::kSlabTiles;
  return {start_of(arena, region, place.layer) + static_cast<size_t>(part) * bytes, bytes};
}

// use(its place) for each part of a block.
template <class Use>
void for_parts(const KvArena& arena, BlockId block, Use use) {
  const quant::BlockLayout& layout = arena.layout();
  TilePlace place{.block = block};
  for (place.layer = 0; place.layer < layout.shape().n_layers; ++place.layer) {
    for (place.kv_head = 0; place.kv_head < layout.shape().n_kv_heads; ++place.kv_head) {
      for (place.tile = 0; place.tile < layout.n_tiles(); ++place.tile) use(place);
    }
  }
}

// All bytes of a region, those of blocks that only fill up a slab too.
inline std::span<std::byte> bytes_of(const KvArena& arena, Region region) {
  const quant::BlockLayout& layout = arena.layout();
  const int64_t n_parts = layout.shape().n_layers * layout.pool_parts(n_blocks(arena, region));
  return {start_of(arena, region, 0), static_cast<size_t>(n_parts) * part_bytes(layout, region)};
}

}  // namespace tq::kernels::test
