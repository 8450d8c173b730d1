#pragma once
// Where the warps of attend.cuh find their tiles.

#include "kernels/cuda/attend_codes.cuh"

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

// Whether registers have room for more than what a loop cannot do without.
template <int kDim>
inline constexpr bool kRoomy = kDim <= 128;

// Where there is room, they hold one half's words while the other is used. Of bf16 that would be an
// address alone, which is computed when it is needed.
template <int kBits, int kDim>
inline constexpr bool kEarly = kBits != 16 && kRoomy<kDim>;

// The start of a part, of the KV head that it counts from.
struct PartPlace {
  const std::byte* words;
  const uint8_t* scales;  // as exponents, null for hot tiles
  const uint8_t* exponents;

  // One multiplication: indices and strides are below 2^32.
  template <class T>
  __device__ static __forceinline__ T* start(T* pool, int part, size_t stride) {
    return pool +
           static_cast<uint64_t>(static_cast<uint32_t>(part)) * static_cast<uint32_t>(stride);
  }
};
__device__ __forceinline__ PartPlace sealed_part(const StoreView& store, int part) {
  return {PartPlace::start(store.codes, part, store.codes_stride),
          PartPlace::start(store.scales, part, store.scales_stride),
          PartPlace::start(store.exponents, part, store.exponents_stride)};
}
__device__ __forceinline__ PartPlace hot_part(const StoreView& store, int part) {
  return {PartPlace::start(store.hot, part, store.hot_stride), nullptr, nullptr};
}

// Reads a lane's share of a half of a part.
template <class Tile>
__device__ __forceinline__ void load_half(Tile& tile,
                                          const HalfView& half,
                                          const PartPlace& part,
                                          int lane) {
  tile.load(part.words + (half.offset + Tile::first_load(lane)),
            part.scales + (half.scale_offset + Tile::first_scale(lane)),
            part.exponents + half.exponent_offset, lane);
}

// A tile of bf16, keys or values: only its place, since it is read step by step as it is used.
template <int kRowBytes>
struct Bf16Tile {
  const std::byte* at;

  __device__ static constexpr uint32_t first_load(int lane) {
    return Codes<16>::first_load(lane, kRowBytes);
  }
  __device__ static constexpr uint32_t first_scale(int) { return 0; }
  __device__ __forceinline__ void load(const std::byte* first,
                                       const uint8_t*,
                                       const uint8_t*,
                                       int) {
    at = first;
  }
};

}  // namespace tq::kernels::cuda
