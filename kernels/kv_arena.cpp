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

// Index of a block's part among all parts of its pool.
size_t part(const quant::BlockLayout& layout, int32_t n_blocks, LayerIdx layer, BlockId block) {
  const int n_layers = layout.shape().n_layers;
  TQ_CHECK(layer >= 0 && layer < n_layers, "layer out of range", layer, n_layers);
  TQ_CHECK(raw(block) >= 0 && raw(block) < n_blocks, "block out of range", raw(block), n_blocks);
  return static_cast<size_t>(layer * layout.pool_parts(n_blocks) + layout.part(raw(block)));
}

}  // namespace

ArenaBytes arena_parts(const quant::BlockLayout& layout, PoolSizes sizes) noexcept {
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
  const ArenaBytes parts = arena_parts(layout, sizes);
  TQ_ASSIGN(KvArena::Region hot, allocate("hot blocks", parts.hot));
  TQ_ASSIGN(KvArena::Region codes, allocate("sealed blocks", parts.codes));
  TQ_ASSIGN(KvArena::Region scales, allocate("scales", parts.scales));
  TQ_ASSIGN(KvArena::Region exponents, allocate("exponents", parts.exponents));
  return KvArena(layout, sizes,
                 {std::move(hot), std::move(codes), std::move(scales), std::move(exponents)});
}

uint64_t arena_bytes(const quant::BlockLayout& layout, PoolSizes sizes) noexcept {
  const ArenaBytes parts = arena_parts(layout, sizes);
  return parts.hot + parts.sealed();
}

std::byte* KvArena::hot(LayerIdx layer, BlockId block) const noexcept {
  return regions_.hot.get() +
         part(layout_, sizes_.hot_blocks, layer, block) * layout_.hot_part_bytes();
}

std::byte* KvArena::codes(LayerIdx layer, BlockId block) const noexcept {
  return regions_.codes.get() +
         part(layout_, sizes_.sealed_blocks, layer, block) * layout_.code_part_bytes();
}

uint8_t* KvArena::scales(LayerIdx layer, BlockId block) const noexcept {
  return reinterpret_cast<uint8_t*>(regions_.scales.get()) +
         part(layout_, sizes_.sealed_blocks, layer, block) * layout_.scale_part_bytes();
}

uint8_t* KvArena::exponents(LayerIdx layer, BlockId block) const noexcept {
  return reinterpret_cast<uint8_t*>(regions_.exponents.get()) +
         part(layout_, sizes_.sealed_blocks, layer, block) * layout_.exponent_part_bytes();
}

}  // namespace tq::kernels
