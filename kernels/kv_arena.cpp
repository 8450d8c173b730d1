#include "kernels/kv_arena.h"

#include <string_view>
#include <utility>

#include "config/check.h"

namespace tq::kernels {
namespace {

uint64_t pool_bytes(const quant::BlockLayout& layout, int32_t n_blocks, size_t part_bytes) {
  return static_cast<uint64_t>(layout.shape().n_layers) *
         static_cast<uint64_t>(layout.pool_parts(n_blocks)) * part_bytes;
}

}  // namespace

RegionBytes arena_regions(const quant::BlockLayout& layout, PoolSizes sizes) noexcept {
  return {.hot = pool_bytes(layout, sizes.hot_blocks, layout.hot_part_bytes()),
          .codes = pool_bytes(layout, sizes.sealed_blocks, layout.code_part_bytes()),
          .scales = pool_bytes(layout, sizes.sealed_blocks, layout.scale_part_bytes()),
          .exponents = pool_bytes(layout, sizes.sealed_blocks, layout.exponent_part_bytes())};
}

Result<KvArena> allocate_arena(const quant::BlockLayout& layout,
                               PoolSizes sizes,
                               Result<KvArena::Region> (*allocate)(std::string_view, uint64_t)) {
  if (sizes.hot_blocks < 0 || sizes.sealed_blocks < 0) {
    return Error{Code::kInvalidArgument, "a pool cannot have a negative number of blocks", "sizes"};
  }
  const RegionBytes bytes = arena_regions(layout, sizes);
  TQ_ASSIGN(KvArena::Region hot, allocate("hot blocks", bytes.hot));
  TQ_ASSIGN(KvArena::Region codes, allocate("sealed blocks", bytes.codes));
  TQ_ASSIGN(KvArena::Region scales, allocate("scales", bytes.scales));
  TQ_ASSIGN(KvArena::Region exponents, allocate("exponents", bytes.exponents));
  return KvArena(layout, sizes,
                 {std::move(hot), std::move(codes), std::move(scales), std::move(exponents)});
}

uint64_t arena_bytes(const quant::BlockLayout& layout, PoolSizes sizes) noexcept {
  const RegionBytes bytes = arena_regions(layout, sizes);
  return bytes.hot + bytes.sealed();
}

std::byte* KvArena::start(const Region& region,
                          LayerIdx layer,
                          int32_t n_blocks,
                          size_t part_bytes) const noexcept {
  const int n_layers = layout_.shape().n_layers;
  TQ_CHECK(layer >= 0 && layer < n_layers, "layer out of range", layer, n_layers);
  return region.get() + static_cast<size_t>(layer * layout_.pool_parts(n_blocks)) * part_bytes;
}

std::byte* KvArena::hot(LayerIdx layer) const noexcept {
  return start(regions_.hot, layer, sizes_.hot_blocks, layout_.hot_part_bytes());
}
std::byte* KvArena::codes(LayerIdx layer) const noexcept {
  return start(regions_.codes, layer, sizes_.sealed_blocks, layout_.code_part_bytes());
}
uint8_t* KvArena::scales(LayerIdx layer) const noexcept {
  return reinterpret_cast<uint8_t*>(
      start(regions_.scales, layer, sizes_.sealed_blocks, layout_.scale_part_bytes()));
}
uint8_t* KvArena::exponents(LayerIdx layer) const noexcept {
  return reinterpret_cast<uint8_t*>(
      start(regions_.exponents, layer, sizes_.sealed_blocks, layout_.exponent_part_bytes()));
}

// Index of a tile's part among those of its layer.
size_t KvArena::part(const TilePlace& place, int32_t n_blocks) const noexcept {
  TQ_CHECK(raw(place.block) >= 0 && raw(place.block) < n_blocks, "block out of range",
           raw(place.block), n_blocks);
  TQ_CHECK(place.kv_head >= 0 && place.kv_head < layout_.shape().n_kv_heads && place.tile >= 0 &&
               place.tile < layout_.n_tiles(),
           "KV head or tile out of range", place.kv_head, place.tile);
  return static_cast<size_t>(layout_.part(raw(place.block), place.tile)) +
         static_cast<size_t>(place.kv_head * quant::kSlabTiles);
}

HotTile KvArena::hot(const TilePlace& place) const noexcept {
  std::byte* const k = hot(place.layer) + part(place, sizes_.hot_blocks) * layout_.hot_part_bytes();
  return {.k = k, .v = k + layout_.hot_v()};
}

SealedTile KvArena::sealed(const TilePlace& place) const noexcept {
  const size_t at = part(place, sizes_.sealed_blocks);
  std::byte* const k = codes(place.layer) + at * layout_.code_part_bytes();
  SealedTile tile{.k = k, .v = k + layout_.sealed_v()};
  uint8_t* const scales_of = scales(place.layer) + at * layout_.scale_part_bytes();
  uint8_t* const exponents_of = exponents(place.layer) + at * layout_.exponent_part_bytes();
  if (layout_.n_k_groups() > 0) {
    tile.k_scales = scales_of;
    tile.k_exponent = exponents_of;
  }
  if (layout_.n_v_groups() > 0) {
    tile.v_scales = scales_of + layout_.v_scales();
    tile.v_exponent = exponents_of + layout_.v_exponent();
  }
  return tile;
}

}  // namespace tq::kernels
