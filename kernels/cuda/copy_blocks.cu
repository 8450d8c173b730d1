// Blocks between the arena of a device and one in pinned memory, which kernels read and write
// through the device's bus. A CTA per part. Bytes moved: those of the blocks, once; the bound is
// the bus.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "kernels/cuda/copy_launch.h"
#include "kernels/cuda/dispatch.cuh"

namespace tq::kernels::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kLoads = 4;  // of a thread, on their way at once: through the bus one takes 1-2 us
constexpr size_t kTilesMax = 256;  // of a launch: they come with its parameters, 4 KB at most

// One region of both arenas; sizes are bytes.
struct Region {
  const std::byte* from = nullptr;
  std::byte* to = nullptr;
  size_t from_layer_stride = 0;
  size_t to_layer_stride = 0;
  size_t part_bytes = 0;
  unsigned n_kv_heads = 1;
};

struct TileCopy {  // parts of KV head 0, quant::BlockLayout::part()
  int32_t from = 0;
  int32_t to = 0;
};

struct CopyParams {
  Region region;
  TileCopy tiles[kTilesMax];
};
static_assert(sizeof(CopyParams) <= 4096);

template <class Word>
__global__ void __launch_bounds__(kThreads) copy_kernel(CopyParams p) {
  const Region& region = p.region;
  const TileCopy tile = p.tiles[blockIdx.x];
  const size_t layer = blockIdx.y / region.n_kv_heads;
  const int head = static_cast<int>(blockIdx.y % region.n_kv_heads) * kHeadParts;
  const auto* const from =
      reinterpret_cast<const Word*>(region.from + layer * region.from_layer_stride +
                                    static_cast<size_t>(tile.from + head) * region.part_bytes);
  auto* const to = reinterpret_cast<Word*>(region.to + layer * region.to_layer_stride +
                                           static_cast<size_t>(tile.to + head) * region.part_bytes);
  const size_t n_words = region.part_bytes / sizeof(Word);
  for (size_t first = threadIdx.x; first < n_words; first += kThreads * kLoads) {
    Word words[kLoads];
#pragma unroll
    for (int i = 0; i < kLoads; ++i) {
      const size_t at = first + static_cast<size_t>(i) * kThreads;
      words[i] = at < n_words ? from[at] : Word{};
    }
#pragma unroll
    for (int i = 0; i < kLoads; ++i) {
      const size_t at = first + static_cast<size_t>(i) * kThreads;
      if (at < n_words) to[at] = words[i];
    }
  }
}

// The tiles of blocks of one pool, and how many blocks both pools have.
struct Copies {
  std::vector<TileCopy> tiles;
  int32_t n_from = 0;
  int32_t n_to = 0;

  Copies(const quant::BlockLayout& layout,
         std::span<const BlockCopy> blocks,
         int32_t from,
         int32_t to)
      : n_from(from), n_to(to) {
    for (const BlockCopy& block : blocks) {
      for (int tile = 0; tile < layout.n_tiles(); ++tile) {
        tiles.push_back({.from = static_cast<int32_t>(layout.part(raw(block.from), tile)),
                         .to = static_cast<int32_t>(layout.part(raw(block.to), tile))});
      }
    }
  }
};

// One region, whose parts are whole numbers of Words.
template <class Word>
Result<void> copy_region(const quant::BlockLayout& layout,
                         const Copies& copies,
                         const void* from,
                         void* to,
                         size_t part_bytes,
                         Stream stream) {
  if (part_bytes == 0) return {};  // a store of 16 bits has no scales
  const quant::KvShape& shape = layout.shape();
  CopyParams params;
  params.region = {
      .from = static_cast<const std::byte*>(from),
      .to = static_cast<std::byte*>(to),
      .from_layer_stride = static_cast<size_t>(layout.pool_parts(copies.n_from)) * part_bytes,
      .to_layer_stride = static_cast<size_t>(layout.pool_parts(copies.n_to)) * part_bytes,
      .part_bytes = part_bytes,
      .n_kv_heads = static_cast<unsigned>(shape.n_kv_heads)};
  std::span<const TileCopy> tiles = copies.tiles;
  while (!tiles.empty()) {
    const size_t n = std::min(tiles.size(), kTilesMax);
    std::copy_n(tiles.begin(), n, params.tiles);
    const Grid grid{.blocks = dim3(static_cast<unsigned>(n),
                                   static_cast<unsigned>(shape.n_layers * shape.n_kv_heads)),
                    .threads = kThreads};
    TQ_TRY(run_kernel(copy_kernel<Word>, grid, stream, params));
    tiles = tiles.subspan(n);
  }
  return {};
}

}  // namespace

Result<void> launch_copy(const CopyCall& call, Stream stream) {
  const KvArena& from = *call.from;
  const KvArena& to = *call.to;
  const quant::BlockLayout& layout = from.layout();
  const Copies hot(layout, call.hot, from.sizes().hot_blocks, to.sizes().hot_blocks);
  const Copies sealed(layout, call.sealed, from.sizes().sealed_blocks, to.sizes().sealed_blocks);
  TQ_TRY(copy_region<uint4>(layout, hot, from.hot(0), to.hot(0), layout.hot_part_bytes(), stream));
  TQ_TRY(copy_region<uint4>(layout, sealed, from.codes(0), to.codes(0), layout.code_part_bytes(),
                            stream));
  TQ_TRY(copy_region<uint4>(layout, sealed, from.scales(0), to.scales(0), layout.scale_part_bytes(),
                            stream));
  return copy_region<uint16_t>(layout, sealed, from.exponents(0), to.exponents(0),
                               layout.exponent_part_bytes(), stream);
}

}  // namespace tq::kernels::cuda
