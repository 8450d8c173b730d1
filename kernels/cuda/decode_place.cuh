#pragma once
// Where the tiles of decode_tile.cuh lie in the store, and in which format.

#include "kernels/cuda/decode_tile.cuh"

namespace tq::kernels::cuda {

// decode.operator()<bits>().
template <class Decode>
__device__ __forceinline__ void for_bits(int bits, Decode decode) {
  switch (bits) {
    case 16: return decode.template operator()<16>();
    case 8: return decode.template operator()<8>();
    case 4: return decode.template operator()<4>();
    case 3: return decode.template operator()<3>();
    default: return decode.template operator()<2>();
  }
}

// A tile of a KV head; at 16 bits it has no scales and no exponent, which are not to be read.
struct FoundTile {
  const uint32_t* words;
  const uint8_t* scales;
  const uint8_t* exponent;

  __device__ __forceinline__ void load(const std::byte* first,
                                       const uint8_t* first_scales,
                                       const uint8_t* tile_exponent,
                                       int) {
    words = reinterpret_cast<const uint32_t*>(first);
    scales = first_scales;
    exponent = tile_exponent;
  }
};

__device__ __forceinline__ FoundTile find_tile(const HalfView& half,
                                               const BlockPlace& block,
                                               int kv_head,
                                               int in_block) {
  FoundTile found;
  LanePlace(half, kv_head, 0, 0).load(found, block, in_block, 0);
  return found;
}

// A sealed tile.
template <int kDim>
__device__ __forceinline__ void decode_sealed(const StoreView& store,
                                              const BlockPlace& block,
                                              int kv_head,
                                              int in_block,
                                              DecodedTile<kDim>& tile) {
  for_bits(store.sealed_k.bits, [&]<int kBits>() {
    const FoundTile k = find_tile(store.sealed_k, block, kv_head, in_block);
    decode_keys<kBits>(store.sealed_k, k.words, k.scales, kBits == 16 ? 0 : *k.exponent, tile);
  });
  for_bits(store.sealed_v.bits, [&]<int kBits>() {
    const FoundTile v = find_tile(store.sealed_v, block, kv_head, in_block);
    decode_values<kBits>(store.sealed_v, v.words, v.scales, kBits == 16 ? 0 : *v.exponent, kTile,
                         tile);
  });
}

// A hot tile, of which n_tokens have been written.
template <int kDim>
__device__ __forceinline__ void copy_hot(const StoreView& store,
                                         const BlockPlace& block,
                                         int kv_head,
                                         int in_block,
                                         int n_tokens,
                                         DecodedTile<kDim>& tile) {
  decode_keys<16>(store.hot_k, find_tile(store.hot_k, block, kv_head, in_block).words,
                  nullptr, 0, tile);
  decode_values<16>(store.hot_v, find_tile(store.hot_v, block, kv_head, in_block).words,
                    nullptr, 0, n_tokens, tile);
}

}  // namespace tq::kernels::cuda
