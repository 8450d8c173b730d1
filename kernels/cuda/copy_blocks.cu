// Blocks between the arena of a device and one in pinned memory, which kernels read and write
// through the device's bus. A CTA per block and layer. Bytes moved: those of the blocks, once; the
// bound is the bus.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

#include "kernels/cuda/copy_launch.h"
#include "kernels/cuda/dispatch.cuh"

namespace tq::kernels::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kLoads = 4;  // of a thread, on their way at once: through the bus one takes 1-2 us
constexpr size_t kBlocksMax = 256;  // of a launch: they come with its parameters, 4 KB at most
using Word = uint64_t;              // scales are a multiple of 8 bytes

// One region (hot, codes or scales) of both arenas; sizes are bytes.
struct Region {
  const std::byte* from = nullptr;
  std::byte* to = nullptr;
  size_t from_layer_stride = 0;
  size_t to_layer_stride = 0;
  size_t block_bytes = 0;  // in one layer
};

struct CopyParams {
  Region region;
  BlockCopy blocks[kBlocksMax];
};
static_assert(sizeof(CopyParams) <= 4096);

__global__ void __launch_bounds__(kThreads) copy_kernel(CopyParams p) {
  const Region& region = p.region;
  const BlockCopy block = p.blocks[blockIdx.x];
  const size_t layer = blockIdx.y;
  const auto* const from =
      reinterpret_cast<const Word*>(region.from + layer * region.from_layer_stride +
                                    static_cast<size_t>(raw(block.from)) * region.block_bytes);
  auto* const to = reinterpret_cast<Word*>(region.to + layer * region.to_layer_stride +
                                           static_cast<size_t>(raw(block.to)) * region.block_bytes);
  const size_t n_words = region.block_bytes / sizeof(Word);
  for (size_t first = threadIdx.x; first < n_words; first += kThreads * kLoads) {
    Word words[kLoads];
#pragma unroll
    for (int i = 0; i < kLoads; ++i) {
      const size_t at = first + static_cast<size_t>(i) * kThreads;
      words[i] = at < n_words ? from[at] : 0;
    }
#pragma unroll
    for (int i = 0; i < kLoads; ++i) {
      const size_t at = first + static_cast<size_t>(i) * kThreads;
      if (at < n_words) to[at] = words[i];
    }
  }
}

struct Blocks {  // of one pool
  std::span<const BlockCopy> copies;
  int32_t n_from = 0;  // in the whole pool
  int32_t n_to = 0;
};

Result<void> copy_region(const Region& region,
                         int n_layers,
                         std::span<const BlockCopy> blocks,
                         Stream stream) {
  CopyParams params{.region = region, .blocks = {}};
  while (!blocks.empty() && region.block_bytes > 0) {  // a store of 16 bits has no scales
    const size_t n = std::min(blocks.size(), kBlocksMax);
    std::copy_n(blocks.begin(), n, params.blocks);
    const Grid grid{.blocks = dim3(static_cast<unsigned>(n), static_cast<unsigned>(n_layers)),
                    .threads = kThreads};
    TQ_TRY(run_kernel(copy_kernel, grid, stream, params));
    blocks = blocks.subspan(n);
  }
  return {};
}

}  // namespace

Result<void> launch_copy(const CopyCall& call, Stream stream) {
  const quant::BlockLayout& layout = call.from->layout();
  const PoolSizes from = call.from->sizes();
  const PoolSizes to = call.to->sizes();
  const auto copy = [&](auto start, size_t block_bytes, Blocks blocks) -> Result<void> {
    if (blocks.copies.empty()) return {};
    return copy_region({.from = start(*call.from),
                        .to = start(*call.to),
                        .from_layer_stride = static_cast<size_t>(blocks.n_from) * block_bytes,
                        .to_layer_stride = static_cast<size_t>(blocks.n_to) * block_bytes,
                        .block_bytes = block_bytes},
                       layout.shape().n_layers, blocks.copies, stream);
  };
  const BlockId first{0};
  const Blocks hot{.copies = call.hot, .n_from = from.hot_blocks, .n_to = to.hot_blocks};
  const Blocks sealed{
      .copies = call.sealed, .n_from = from.sealed_blocks, .n_to = to.sealed_blocks};
  TQ_TRY(copy([&](const KvArena& arena) { return arena.hot(0, first); }, layout.hot_bytes(), hot));
  TQ_TRY(copy([&](const KvArena& arena) { return arena.codes(0, first); },
              layout.sealed_code_bytes(), sealed));
  return copy(
      [&](const KvArena& arena) { return reinterpret_cast<std::byte*>(arena.scales(0, first)); },
      layout.sealed_scale_bytes(), sealed);
}

}  // namespace tq::kernels::cuda
