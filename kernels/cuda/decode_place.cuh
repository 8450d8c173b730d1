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

// A half of a part; at 16 bits it has no scales and no exponent, which are not to be read.
struct FoundTile {
  const uint32_t* words;
  const uint8_t* scales;
  const uint8_t* exponent;

  __device__ __forceinline__ FoundTile(const HalfView& half, const PartPlace& part)
      : words(reinterpret_cast<const uint32_t*>(part.words + half.offset)),
        scales(part.scales + half.scale_offset),
        exponent(part.exponents + half.exponent_offset) {}
};

// A sealed tile.
template <int kDim>
__device__ __forceinline__ void decode_sealed(const StoreView& store,
                                              const PartPlace& part,
                                              DecodedTile<kDim>& tile) {
  for_bits(store.sealed_k.bits, [&]<int kBits>() {
    const FoundTile k(store.sealed_k, part);
    decode_keys<kBits>(store.sealed_k, k.words, k.scales, kBits == 16 ? 0 : *k.exponent, tile);
  });
  for_bits(store.sealed_v.bits, [&]<int kBits>() {
    const FoundTile v(store.sealed_v, part);
    decode_values<kBits>(store.sealed_v, v.words, v.scales, kBits == 16 ? 0 : *v.exponent, kTile,
                         tile);
  });
}

// A hot tile, of which n_tokens have been written.
template <int kDim>
__device__ __forceinline__ void copy_hot(const StoreView& store,
                                         const PartPlace& part,
                                         int n_tokens,
                                         DecodedTile<kDim>& tile) {
  decode_keys<16>(store.hot_k, FoundTile(store.hot_k, part).words, nullptr, 0, tile);
  decode_values<16>(store.hot_v, FoundTile(store.hot_v, part).words, nullptr, 0, n_tokens, tile);
}

}  // namespace tq::kernels::cuda
