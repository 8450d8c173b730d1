// Blocks between the arena of a device and one in pinned memory, which kernels read and write
// through the device's bus. A CTA per part: block, layer and KV head. Bytes moved: those of the blocks, once; the
// bound is the bus.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

#include "kernels/cuda/copy_launch.h"
#include "kernels/cuda/dispatch.cuh"
#include "kernels/cuda/store_view.h"

namespace tq::kernels::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kLoads = 4;  // of a thread, on their way at once: through the bus one takes 1-2 us
constexpr size_t kBlocksMax = 256;  // of a launch: they come with its parameters, 4 KB at most

// One region of both arenas; sizes are bytes.
struct Region {
  const std::byte* from = nullptr;
  std::byte* to = nullptr;
  size_t from_layer_stride = 0;
  size_t to_layer_stride = 0;
  size_t head_stride = 0;
  size_t part_bytes = 0;
  unsigned n_kv_heads = 1;
};

struct PartCopy {  // of KV head 0, quant::BlockLayout::part()
  int32_t from = 0;
  int32_t to = 0;
};

struct CopyParams {
  Region region;
  PartCopy parts[kBlocksMax];
};
static_assert(sizeof(CopyParams) <= 4096);

template <class Word>
__global__ void __launch_bounds__(kThreads) copy_kernel(CopyParams p) {
  const Region& region = p.region;
  const PartCopy part = p.parts[blockIdx.x];
  const size_t layer = blockIdx.y / region.n_kv_heads;
  const size_t head = blockIdx.y % region.n_kv_heads * region.head_stride;
  const auto* const from = reinterpret_cast<const Word*>(
      region.from + layer * region.from_layer_stride + head +
      static_cast<size_t>(part.from) * region.part_bytes);
  auto* const to =
      reinterpret_cast<Word*>(region.to + layer * region.to_layer_stride + head +
                              static_cast<size_t>(part.to) * region.part_bytes);
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

struct Blocks {  // of one pool
  std::span<const BlockCopy> copies;
  int32_t n_from = 0;  // in the whole pool
  int32_t n_to = 0;
};

// `start` yields an arena's first byte of the region. Parts are whole numbers of Words.
template <class Word, class Start>
Result<void> copy_region(
    const CopyCall& call, Blocks blocks, size_t part_bytes, Start start, Stream stream) {
  if (blocks.copies.empty() || part_bytes == 0) return {};  // a store of 16 bits has no scales
  const quant::BlockLayout& layout = call.from->layout();
  const quant::KvShape& shape = layout.shape();
  CopyParams params;
  params.region = {
      .from = start(*call.from),
      .to = start(*call.to),
      .from_layer_stride = static_cast<size_t>(layout.pool_parts(blocks.n_from)) * part_bytes,
      .to_layer_stride = static_cast<size_t>(layout.pool_parts(blocks.n_to)) * part_bytes,
      .head_stride = static_cast<size_t>(layout.slab_blocks()) * part_bytes,
      .part_bytes = part_bytes,
      .n_kv_heads = static_cast<unsigned>(shape.n_kv_heads)};
  while (!blocks.copies.empty()) {
    const size_t n = std::min(blocks.copies.size(), kBlocksMax);
    for (size_t i = 0; i < n; ++i) {
      params.parts[i] = {.from = part_of(layout, blocks.copies[i].from),
                         .to = part_of(layout, blocks.copies[i].to)};
    }
    const Grid grid{.blocks = dim3(static_cast<unsigned>(n),
                                   static_cast<unsigned>(shape.n_layers * shape.n_kv_heads)),
                    .threads = kThreads};
    TQ_TRY(run_kernel(copy_kernel<Word>, grid, stream, params));
    blocks.copies = blocks.copies.subspan(n);
  }
  return {};
}

}  // namespace

Result<void> launch_copy(const CopyCall& call, Stream stream) {
  const quant::BlockLayout& layout = call.from->layout();
  const PoolSizes from = call.from->sizes();
  const PoolSizes to = call.to->sizes();
  const BlockId first{0};
  const Blocks hot{.copies = call.hot, .n_from = from.hot_blocks, .n_to = to.hot_blocks};
  const Blocks sealed{
      .copies = call.sealed, .n_from = from.sealed_blocks, .n_to = to.sealed_blocks};
  TQ_TRY(copy_region<uint4>(
      call, hot, layout.hot_part_bytes(),
      [&](const KvArena& arena) { return arena.hot(0, first); }, stream));
  TQ_TRY(copy_region<uint4>(
      call, sealed, layout.code_part_bytes(),
      [&](const KvArena& arena) { return arena.codes(0, first); }, stream));
  TQ_TRY(copy_region<uint4>(
      call, sealed, layout.scale_part_bytes(),
      [&](const KvArena& arena) { return reinterpret_cast<std::byte*>(arena.scales(0, first)); },
      stream));
  return copy_region<uint16_t>(
      call, sealed, layout.exponent_part_bytes(),
      [&](const KvArena& arena) { return reinterpret_cast<std::byte*>(arena.exponents(0, first)); },
      stream);
}

}  // namespace tq::kernels::cuda
