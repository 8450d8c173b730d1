#include "kernels/kv_arena.h"

#include <utility>

#include "config/check.h"

namespace tq::kernels {
namespace {

uint64_t pool_bytes(const quant::BlockLayout& layout, int32_t n_blocks, size_t block_bytes) {
  return static_cast<uint64_t>(layout.shape().n_layers) * static_cast<uint64_t>(n_blocks) *
         block_bytes;
}

// Index of a block's part among all parts of its pool; the layer is the slow axis.
size_t part(const quant::KvShape& shape, int32_t n_blocks, LayerIdx layer, BlockId block) noexcept {
  TQ_CHECK(layer >= 0 && layer < shape.n_layers, "layer out of range", layer, shape.n_layers);
  TQ_CHECK(raw(block) >= 0 && raw(block) < n_blocks, "block out of range", raw(block), n_blocks);
  return static_cast<size_t>(layer) * static_cast<size_t>(n_blocks) +
         static_cast<size_t>(raw(block));
}

}  // namespace

ArenaBytes arena_parts(const quant::BlockLayout& layout, PoolSizes sizes) noexcept {
  return {.hot = pool_bytes(layout, sizes.hot_blocks, layout.hot_bytes()),
          .codes = pool_bytes(layout, sizes.sealed_blocks, layout.sealed_code_bytes()),
          .scales = pool_bytes(layout, sizes.sealed_blocks, layout.sealed_scale_bytes())};
}

uint64_t arena_bytes(const quant::BlockLayout& layout, PoolSizes sizes) noexcept {
  const ArenaBytes parts = arena_parts(layout, sizes);
  return parts.hot + parts.codes + parts.scales;
}

KvArena::KvArena(
    const quant::BlockLayout& layout, PoolSizes sizes, Region hot, Region codes, Region scales)
    : layout_(layout),
      sizes_(sizes),
      hot_(std::move(hot)),
      codes_(std::move(codes)),
      scales_(std::move(scales)) {}

std::byte* KvArena::hot(LayerIdx layer, BlockId block) const noexcept {
  return hot_.get() + part(layout_.shape(), sizes_.hot_blocks, layer, block) * layout_.hot_bytes();
}

std::byte* KvArena::codes(LayerIdx layer, BlockId block) const noexcept {
  return codes_.get() +
         part(layout_.shape(), sizes_.sealed_blocks, layer, block) * layout_.sealed_code_bytes();
}

uint8_t* KvArena::scales(LayerIdx layer, BlockId block) const noexcept {
  return reinterpret_cast<uint8_t*>(scales_.get() +
                                    part(layout_.shape(), sizes_.sealed_blocks, layer, block) *
                                        layout_.sealed_scale_bytes());
}

}  // namespace tq::kernels
