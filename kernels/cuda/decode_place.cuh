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

// Where a block holds tile `in_block` of a KV head.
__device__ __forceinline__ const uint32_t* tile_words(const HalfView& half,
                                                      const std::byte* block,
                                                      int kv_head,
                                                      int in_block) {
  return reinterpret_cast<const uint32_t*>(block + half.offset +
                                           static_cast<uint32_t>(kv_head) * half.head_stride +
                                           static_cast<uint32_t>(in_block) * half.tile_bytes);
}
__device__ __forceinline__ const uint8_t* tile_scales(const HalfView& half,
                                                      const uint8_t* block_scales,
                                                      int kv_head,
                                                      int in_block) {
  return block_scales + half.scale_offset +
         static_cast<uint32_t>(kv_head) * half.scale_head_stride +
         static_cast<uint32_t>(in_block) * half.scale_tile_bytes;
}
__device__ __forceinline__ const uint8_t* tile_exponent(const HalfView& half,
                                                        const uint8_t* block_scales,
                                                        int kv_head,
                                                        int in_block) {
  return block_scales + half.exponent_offset +
         static_cast<uint32_t>(kv_head) * half.exponent_head_stride +
         static_cast<uint32_t>(in_block);
}

// A sealed tile.
template <int kDim>
__device__ __forceinline__ void decode_sealed(const StoreView& store,
                                              const std::byte* block,
                                              const uint8_t* block_scales,
                                              int kv_head,
                                              int in_block,
                                              DecodedTile<kDim>& tile) {
  const auto exponent_of = [&](const HalfView& half) {
    return half.bits == 16 ? uint8_t{0} : *tile_exponent(half, block_scales, kv_head, in_block);
  };
  for_bits(store.sealed_k.bits, [&]<int kBits>() {
    decode_keys<kBits>(store.sealed_k, tile_words(store.sealed_k, block, kv_head, in_block),
                       tile_scales(store.sealed_k, block_scales, kv_head, in_block),
                       exponent_of(store.sealed_k), tile);
  });
  for_bits(store.sealed_v.bits, [&]<int kBits>() {
    decode_values<kBits>(store.sealed_v, tile_words(store.sealed_v, block, kv_head, in_block),
                         tile_scales(store.sealed_v, block_scales, kv_head, in_block),
                         exponent_of(store.sealed_v), kTile, tile);
  });
}

// A hot tile, of which n_tokens have been written.
template <int kDim>
__device__ __forceinline__ void copy_hot(const StoreView& store,
                                         const std::byte* block,
                                         int kv_head,
                                         int in_block,
                                         int n_tokens,
                                         DecodedTile<kDim>& tile) {
  decode_keys<16>(store.hot_k, tile_words(store.hot_k, block, kv_head, in_block), nullptr, 0, tile);
  decode_values<16>(store.hot_v, tile_words(store.hot_v, block, kv_head, in_block), nullptr, 0,
                    n_tokens, tile);
}

}  // namespace tq::kernels::cuda
