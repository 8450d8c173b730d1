#pragma once
// KvArena: the bytes of both pools of KV blocks, in one backend's memory, for all layers. Owned by
// the runner; allocated once at the start, zeroed, never resized. Engine thread only.
//
// Layer-major, each pool in whole slabs of parts (quant/block_layout.h):
//   hot       [n_layers][parts of the pool][layout.hot_part_bytes()]
//   codes     [n_layers][parts of the pool][layout.code_part_bytes()]
//   scales    [n_layers][parts of the pool][layout.scale_part_bytes()]
//   exponents [n_layers][parts of the pool][layout.exponent_part_bytes()]

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>

#include "config/ids.h"
#include "config/result.h"
#include "quant/block_layout.h"

namespace tq::kernels {

struct PoolSizes {
  int32_t hot_blocks = 0;
  int32_t sealed_blocks = 0;
};

// Bytes of each region, in all layers.
struct RegionBytes {
  uint64_t hot = 0;
  uint64_t codes = 0;
  uint64_t scales = 0;
  uint64_t exponents = 0;

  uint64_t sealed() const noexcept { return codes + scales + exponents; }
};
RegionBytes arena_regions(const quant::BlockLayout& layout, PoolSizes sizes) noexcept;
uint64_t arena_bytes(const quant::BlockLayout& layout, PoolSizes sizes) noexcept;

struct TilePlace {
  LayerIdx layer = 0;
  int kv_head = 0;
  BlockId block = kNoBlock;
  int tile = 0;  // of the block
};

struct HotTile {
  std::byte* k = nullptr;
  std::byte* v = nullptr;
};

// Scales are [n_groups][32 tokens]; they and exponents are null for a half of 16 bits.
struct SealedTile {
  std::byte* k = nullptr;
  std::byte* v = nullptr;
  uint8_t* k_scales = nullptr;
  uint8_t* v_scales = nullptr;
  uint8_t* k_exponent = nullptr;
  uint8_t* v_exponent = nullptr;
};

class KvArena {
 public:
  // A region allocated by a backend; `release` frees it (64-byte aligned, zeroed).
  using Region = std::unique_ptr<std::byte, void (*)(std::byte*)>;

  struct Regions {
    Region hot, codes, scales, exponents;
  };
  KvArena(const quant::BlockLayout& layout, PoolSizes sizes, Regions regions)
      : layout_(layout), sizes_(sizes), regions_(std::move(regions)) {}

  const quant::BlockLayout& layout() const noexcept { return layout_; }
  PoolSizes sizes() const noexcept { return sizes_; }

  // Starts of a layer's parts, in the order of quant::BlockLayout::part().
  std::byte* hot(LayerIdx layer) const noexcept;
  std::byte* codes(LayerIdx layer) const noexcept;
  uint8_t* scales(LayerIdx layer) const noexcept;
  uint8_t* exponents(LayerIdx layer) const noexcept;

  // One tile. Ids are checked.
  HotTile hot(const TilePlace& place) const noexcept;
  SealedTile sealed(const TilePlace& place) const noexcept;

 private:
  std::byte* start(const Region& region,
                   LayerIdx layer,
                   int32_t n_blocks,
                   size_t part_bytes) const noexcept;
  size_t part(const TilePlace& place, int32_t n_blocks) const noexcept;

  quant::BlockLayout layout_;
  PoolSizes sizes_;
  Regions regions_;
};

// An arena whose regions `allocate` yields, given what for and how many bytes. Errors: sizes; what
// `allocate` says.
Result<KvArena> allocate_arena(const quant::BlockLayout& layout,
                               PoolSizes sizes,
                               Result<KvArena::Region> (*allocate)(std::string_view, uint64_t));

}  // namespace tq::kernels
