#pragma once
// KvArena: the bytes of both pools of KV blocks, in one backend's memory, for all layers. Owned by
// the runner; allocated once at the start, zeroed, never resized. Engine thread only.
//
// Layer-major, so that the blocks a step reads in one layer lie close together:
//   hot    [n_layers][hot_blocks][layout.hot_bytes()]
//   codes  [n_layers][sealed_blocks][layout.sealed_code_bytes()]
//   scales [n_layers][sealed_blocks][layout.sealed_scale_bytes()]

#include <cstddef>
#include <cstdint>
#include <memory>

#include "config/ids.h"
#include "quant/block_layout.h"

namespace tq::kernels {

struct PoolSizes {
  int32_t hot_blocks = 0;
  int32_t sealed_blocks = 0;
};

// Bytes of each region, in all layers.
struct ArenaBytes {
  uint64_t hot = 0;
  uint64_t codes = 0;
  uint64_t scales = 0;
};
ArenaBytes arena_parts(const quant::BlockLayout& layout, PoolSizes sizes) noexcept;
uint64_t arena_bytes(const quant::BlockLayout& layout, PoolSizes sizes) noexcept;

class KvArena {
 public:
  // A region allocated by a backend; `release` frees it (64-byte aligned, zeroed).
  using Region = std::unique_ptr<std::byte, void (*)(std::byte*)>;

  KvArena(
      const quant::BlockLayout& layout, PoolSizes sizes, Region hot, Region codes, Region scales);

  const quant::BlockLayout& layout() const noexcept { return layout_; }
  PoolSizes sizes() const noexcept { return sizes_; }

  // Start of one block's part in one layer. Ids are checked.
  std::byte* hot(LayerIdx layer, BlockId block) const noexcept;
  std::byte* codes(LayerIdx layer, BlockId block) const noexcept;
  uint8_t* scales(LayerIdx layer, BlockId block) const noexcept;

 private:
  quant::BlockLayout layout_;
  PoolSizes sizes_;
  Region hot_;
  Region codes_;
  Region scales_;
};

}  // namespace tq::kernels
