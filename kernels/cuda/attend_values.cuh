#pragma once
// Weighted sums of a tile of 32 values for 8 queries, by one warp: attend.cuh's second half.
//
// Dimensions are the rows of the MMAs: lane 4g + t holds dimensions 32j + 4g + 2h + r of tokens 8t
// to 8t + 7, as row g + 8r of product 2j + h. Weights come as scores lie (attend_keys.cuh) and are
// transposed into B operands.

#include "kernels/cuda/attend_keys.cuh"

namespace tq::kernels::cuda {

// As KeyTile.
template <int kBits, int kDim>
struct ValueTile {
  static constexpr int kGroups = (kDim + kValueGroup - 1) / kValueGroup;
  uint4 words[kSteps<kDim>][Codes<kBits>::kLoads];
  uint32_t scales[kGroups];  // of tokens 4g to 4g + 3
  uint8_t exponent;

  __device__ static constexpr uint32_t first_load(int lane) {
    return Codes<kBits>::first_load(lane, 4 * kDim);
  }
  __device__ static constexpr uint32_t first_scale(int lane) {
    return static_cast<uint32_t>(lane / 4 * 4);
  }
  __device__ __forceinline__ void load(const std::byte* at,
                                       const uint8_t* first_scales,
                                       const uint8_t* tile_exponent,
                                       int lane) {
#pragma unroll
    for (int j = 0; j < kSteps<kDim>; ++j) {
#pragma unroll
      for (int l = 0; l < Codes<kBits>::kLoads; ++l) {
        const int offset = Codes<kBits>::load_at(lane % 4, 0, l, 4 * kDim) + 128 * j;
        words[j][l] = load_if(reaches<kDim>(j, lane / 4 * 4), at + offset);
      }
    }
#pragma unroll
    for (int group = 0; group < kGroups; ++group) {
      scales[group] = *reinterpret_cast<const uint32_t*>(first_scales + group * kTile);
    }
    exponent = *tile_exponent;
  }
};

template <int kDim>
struct ValueTile<16, kDim> : Bf16Tile<4 * kDim> {};

// The low bytes of a and b.
__device__ __forceinline__ uint32_t low_bytes(float a, float b) {
  return permute_bytes(__float_as_uint(a), __float_as_uint(b), 0x0040);
}

// o += weights . values. A weight times its token's scale becomes an integer of the tile's largest:
// its error is at most 0.4 % of that. `n_tokens` is only for bf16, where a tile may not be full.
template <int kBits, int kDim>
__device__ __forceinline__ void sum_tile(const ValueTile<kBits, kDim>& tile,
                                         const Scores& weights,
                                         const Table<kBits>& table,
                                         int,
                                         int lane,
                                         Sums<kDim>& sums) {
  constexpr int kGroups = ValueTile<kBits, kDim>::kGroups;
  constexpr int kTerms = Codes<kBits>::kTerms;
  float scaled[kGroups][2][4];
  float largest[2] = {};
#pragma unroll
  for (int group = 0; group < kGroups; ++group) {
#pragma unroll
    for (int m = 0; m < 2; ++m) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const float scale = scale_value<0>(tile.scales[group], 2 * m + i / 2) * kScaleUnit;
        scaled[group][m][i] = weights[m][i] * scale;
        largest[i % 2] = fmaxf(largest[i % 2], fabsf(scaled[group][m][i]));
      }
    }
  }
  reduce_max(largest);
  float per_unit[2], unit[2];
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    per_unit[i] = largest[i] > 1e-30f ? __fdividef(127.0f, largest[i]) : 0.0f;
    unit[i] = largest[i] * (1.0f / 127.0f) * level_unit<0>(tile.exponent);
    sums.start[i] += unit[i];
  }
  uint32_t b[kGroups][2];
#pragma unroll
  for (int group = 0; group < kGroups; ++group) {
    uint32_t tokens[2];  // bytes: 8t + 2m, 8t + 2m + 1 and those 4 further on
#pragma unroll
    for (int m = 0; m < 2; ++m) {
      uint32_t pairs[2];
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        pairs[i] = low_bytes(fmaf(scaled[group][m][i], per_unit[i], kSumStart),
                             fmaf(scaled[group][m][2 + i], per_unit[i], kSumStart));
      }
      tokens[m] = transpose_8x8(permute_bytes(pairs[0], pairs[1], 0x5410));
    }
    b[group][0] = permute_bytes(tokens[0], tokens[1], kBits < 4 ? 0x6240 : 0x5410);
    b[group][1] = permute_bytes(tokens[0], tokens[1], kBits < 4 ? 0x7351 : 0x7632);
  }
#pragma unroll
  for (int j = 0; j < kSteps<kDim>; ++j) {
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      uint32_t levels[2][kTerms][2];
#pragma unroll
      for (int r = 0; r < 2; ++r) {
        uint32_t words[Codes<kBits>::kLoads];
#pragma unroll
        for (int l = 0; l < Codes<kBits>::kLoads; ++l) {
          words[l] = word_of(tile.words[j][l], 2 * h + r);
        }
        value_levels<kBits>(words, lane % 4, table, levels[r]);
      }
      int32_t integers[4];
      multiply_levels<kTerms>(levels, b[32 * j / kValueGroup], integers);
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        float& o = sums.o[2 * j + h][i];
        o = fmaf(__int_as_float(integers[i]), unit[i % 2], o);
      }
    }
  }
}

// Only the tile's first n_tokens have been written, and what shares a word with the last of them.
template <int kDim>
__device__ __forceinline__ void sum_tile(const ValueTile<16, kDim>& tile,
                                         const Scores& weights,
                                         const Table<16>&,
                                         int n_tokens,
                                         int lane,
                                         Sums<kDim>& sums) {
  uint32_t b[2][2];  // [m]: token pairs 4t + m and 4t + m + 2
#pragma unroll
  for (int m = 0; m < 2; ++m) {
    uint32_t tokens[2];
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      tokens[r] = transpose_8x8(pack_bf16(weights[m][2 * r], weights[m][2 * r + 1]));
    }
    b[m][0] = permute_bytes(tokens[0], tokens[1], 0x5410);
    b[m][1] = permute_bytes(tokens[0], tokens[1], 0x7632);
  }
#pragma unroll
  for (int j = 0; j < kSteps<kDim>; ++j) {
    if (j == (kSteps<kDim> + 1) / 2)
      hold_back();  // else more is begun at once than there are registers
    uint4 words[4];
#pragma unroll
    for (int l = 0; l < 4; ++l) {
      const int pair = Codes<16>::row(lane % 4, l);
      const int offset = Codes<16>::load_at(lane % 4, 0, l, 4 * kDim) + 128 * j;
      words[l] = uint4{0, 0, 0, 0};
      if (2 * pair < n_tokens && reaches<kDim>(j, lane / 4 * 4)) {
        words[l] = load_once(reinterpret_cast<const uint4*>(tile.at + offset));
      }
    }
#pragma unroll
    for (int h = 0; h < 2; ++h) {
#pragma unroll
      for (int m = 0; m < 2; ++m) {
        const uint32_t a[4] = {word_of(words[m], 2 * h), word_of(words[m], 2 * h + 1),
                               word_of(words[m + 2], 2 * h), word_of(words[m + 2], 2 * h + 1)};
        mma_bf16(sums.o[2 * j + h], a, b[m][0], b[m][1]);
      }
    }
  }
}

}  // namespace tq::kernels::cuda
