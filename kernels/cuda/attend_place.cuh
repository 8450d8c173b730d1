#pragma once
// Where the warps of attend.cuh find their tiles.

#include "kernels/cuda/launch.h"
#include "kernels/cuda/ptx.cuh"

namespace tq::kernels::cuda {

inline constexpr int kAttendWarps = 4;  // of a block

// Steps of 32 dimensions. A row of 80 ends within its last step: what lies behind is not read, and
// counts as zero.
template <int kDim>
inline constexpr int kSteps = (kDim + 31) / 32;

// Whether a row reaches to this dimension of a step.
template <int kDim>
__device__ constexpr bool reaches(int step, int dim) {
  return kDim % 32 == 0 || 32 * step + dim < kDim;
}

// The start of a block. The product is of 32-bit numbers: parts and strides are below 2^32.
struct BlockPlace {
  const std::byte* words;
  const uint8_t* scales;  // as exponents, null for hot blocks
  const uint8_t* exponents;

  template <class T>
  __device__ static __forceinline__ T* start(T* pool, int part, size_t stride) {
    return pool + static_cast<uint64_t>(static_cast<uint32_t>(part)) * static_cast<uint32_t>(stride);
  }
};
__device__ __forceinline__ BlockPlace sealed_block(const StoreView& store, int part) {
  return {BlockPlace::start(store.codes, part, store.codes_stride),
          BlockPlace::start(store.scales, part, store.scales_stride),
          BlockPlace::start(store.exponents, part, store.exponents_stride)};
}
__device__ __forceinline__ BlockPlace hot_block(const StoreView& store, int part) {
  return {BlockPlace::start(store.hot, part, store.hot_stride), nullptr, nullptr};
}

// Where a lane finds its part of a KV head's tiles, from the start of a block.
struct LanePlace {
  uint32_t words;
  uint32_t scales;
  uint32_t exponent;
  uint32_t tile_bytes;
  uint32_t scale_tile_bytes;

  __device__ __forceinline__
  LanePlace(const HalfView& half, int kv_head, uint32_t first_load, uint32_t first_scale)
      : words(half.offset + static_cast<uint32_t>(kv_head) * half.head_stride + first_load),
        scales(half.scale_offset + static_cast<uint32_t>(kv_head) * half.scale_head_stride +
               first_scale),
        exponent(half.exponent_offset + static_cast<uint32_t>(kv_head) * half.exponent_head_stride),
        tile_bytes(half.tile_bytes),
        scale_tile_bytes(half.scale_tile_bytes) {}

  template <class Tile>
  __device__ __forceinline__ void load(Tile& tile,
                                       const BlockPlace& block,
                                       int in_block,
                                       int lane) const {
    const auto at = static_cast<uint32_t>(in_block);
    tile.load(block.words + (words + at * tile_bytes),
              block.scales + (scales + at * scale_tile_bytes), block.exponents + (exponent + at),
              lane);
  }
};

// A tile of bf16, keys or values: only its place, since it is read step by step as it is used.
struct Bf16Tile {
  const std::byte* at;

  __device__ static constexpr uint32_t first_scale(int) { return 0; }
  __device__ __forceinline__ void load(const std::byte* first,
                                       const uint8_t*,
                                       const uint8_t*,
                                       int) {
    at = first;
  }
};

// A warp's place in the list of a sequence's blocks; it takes every kAttendWarps-th tile.
struct Cursor {
  int tile;
  int block;
  int in_block;
  int tiles_per_block;
  int block_step;  // of kAttendWarps tiles
  int rest_step;

  __device__ __forceinline__ Cursor(int first, int per_block)
      : tile(first),
        block(first / per_block),
        in_block(first % per_block),
        tiles_per_block(per_block),
        block_step(kAttendWarps / per_block),
        rest_step(kAttendWarps % per_block) {}
  __device__ __forceinline__ void advance() {
    tile += kAttendWarps;
    block += block_step;
    in_block += rest_step;
    if (in_block < tiles_per_block) return;
    in_block -= tiles_per_block;
    ++block;
  }
};

}  // namespace tq::kernels::cuda
