#pragma once
// Scores of a tile of 32 keys for 8 queries, by one warp: attend.cuh's first half.
//
// Keys are the rows of the MMAs. The 16 bytes that a lane loads are 4 tokens of one word, and just
// these tokens are its rows: lane 4g + t holds tokens 4g + 2m + r, as row g + 8r of product m. What
// a lane has loaded is its operand; nothing passes through shared memory.

#include "kernels/cuda/attend_codes.cuh"

namespace tq::kernels::cuda {

inline constexpr int kColumns = 8;  // queries of a pass

// Scores, then weights: [m][2r + j] is of token 4g + 2m + r and query 2t + j.
using Scores = float[2][4];

__device__ __forceinline__ uint32_t word_of(const uint4& words, int i) {
  return i == 0 ? words.x : i == 1 ? words.y : i == 2 ? words.z : words.w;
}

// What a warp reads of a tile of keys of kBits; bf16 is read step by step instead.
template <int kBits, int kDim>
struct KeyTile {
  static constexpr int kSteps = kDim / 32;
  uint4 words[kSteps][Codes<kBits>::kLoads];
  uint32_t scales[kDim / kKeyGroup];  // of the lane's four tokens
  uint8_t exponent;

  __device__ __forceinline__ void load(const std::byte* tile,
                                       const uint8_t* tile_scales,
                                       const uint8_t* tile_exponent,
                                       int lane) {
    const int g = lane / 4, t = lane % 4;
#pragma unroll
    for (int step = 0; step < kSteps; ++step) {
#pragma unroll
      for (int l = 0; l < Codes<kBits>::kLoads; ++l) {
        const int row = Codes<kBits>::kStepRows * step + Codes<kBits>::row(t, l);
        words[step][l] = load_once(reinterpret_cast<const uint4*>(tile) + 8 * row + g);
      }
    }
#pragma unroll
    for (int group = 0; group < kDim / kKeyGroup; ++group) {
      scales[group] = reinterpret_cast<const uint32_t*>(tile_scales)[8 * group + g];
    }
    exponent = *tile_exponent;
  }
};

template <int kDim>
struct KeyTile<16, kDim> {
  const uint4* words;

  __device__ __forceinline__ void load(const std::byte* tile, const uint8_t*, const uint8_t*, int) {
    words = reinterpret_cast<const uint4*>(tile);
  }
};

// Queries as B operands. `rows[g]` is the lane's own column: rotated, [kDim]; null: none.
//
// Sums over lanes t have one scale only if their dimensions lie in one group of 16, so there are
// two products: of lanes 0 and 1 and of lanes 2 and 3, the others' coefficients being zero.
template <int kBits, int kDim>
struct KeyQueries {
  static constexpr int kSteps = kDim / 32;
  uint32_t b[2][kSteps][2];
  float unit[2];  // of the queries 2t and 2t + 1: one step of their coefficients

  __device__ __forceinline__ void load(const float* row, float scale_log2, int lane) {
    const int t = lane % 4;
    float largest = 0.0f;
    for (int step = 0; step < kSteps; ++step) {
      for (int e = 0; e < 8 && row != nullptr; ++e) {
        largest = fmaxf(largest, fabsf(row[key_dim<kBits>(step, t, e)]));
      }
    }
    largest = fmaxf(largest, __shfl_xor_sync(~0u, largest, 1));
    largest = fmaxf(largest, __shfl_xor_sync(~0u, largest, 2));
    const float per_unit = largest > 1e-30f ? 127.0f / largest : 0.0f;
    const float one = largest * (1.0f / 127.0f) * scale_log2;
#pragma unroll
    for (int j = 0; j < 2; ++j) unit[j] = __shfl_sync(~0u, one, 4 * (2 * t + j));
#pragma unroll
    for (int step = 0; step < kSteps; ++step) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        uint32_t packed = 0;
#pragma unroll
        for (int e = 0; e < 4 && row != nullptr; ++e) {
          const float q = row[key_dim<kBits>(step, t, 4 * half + e)];
          packed |= (static_cast<uint32_t>(__float2int_rn(q * per_unit)) & 0xffu) << 8 * e;
        }
        b[0][step][half] = t < 2 ? packed : 0;
        b[1][step][half] = t < 2 ? 0 : packed;
      }
    }
  }
};

// In bf16, a query is the sum of two: its rounding would be the only error.
template <int kDim>
struct KeyQueries<16, kDim> {
  static constexpr int kSteps = kDim / 32;
  uint32_t b[2][kSteps][4];  // [high, low part]; 4 pairs of dimensions

  __device__ __forceinline__ void load(const float* row, float scale_log2, int lane) {
#pragma unroll
    for (int step = 0; step < kSteps; ++step) {
#pragma unroll
      for (int pair = 0; pair < 4; ++pair) {
        const int dim = key_dim<16>(step, lane % 4, 2 * pair);
        const float x = row != nullptr ? row[dim] * scale_log2 : 0.0f;
        const float y = row != nullptr ? row[dim + 1] * scale_log2 : 0.0f;
        const uint32_t high = pack_bf16(x, y);
        b[0][step][pair] = high;
        b[1][step][pair] =
            pack_bf16(x - __uint_as_float(high << 16), y - __uint_as_float(high & 0xffff0000u));
      }
    }
  }
};

template <int kBits, int kDim>
__device__ __forceinline__ void score_tile(const KeyTile<kBits, kDim>& tile,
                                           const KeyQueries<kBits, kDim>& queries,
                                           const Table<kBits> (&books)[kBooksMax],
                                           int lane,
                                           Scores& scores) {
  constexpr int kBookBits = key_book_bits(kBits);
  constexpr int kTerms = Codes<kBits>::kTerms;
  const int t = lane % 4;
#pragma unroll
  for (int m = 0; m < 2; ++m) {
    float total[2] = {};  // of the scales: what the starts of sums have added
#pragma unroll
    for (int i = 0; i < 4; ++i) scores[m][i] = 0.0f;
#pragma unroll
    for (int step = 0; step < KeyTile<kBits, kDim>::kSteps; ++step) {
      const uint32_t own_scales = t < 2 ? tile.scales[2 * step] : tile.scales[2 * step + 1];
      uint32_t levels[2][kTerms][2];
#pragma unroll
      for (int r = 0; r < 2; ++r) {
        uint32_t words[Codes<kBits>::kLoads];
#pragma unroll
        for (int l = 0; l < Codes<kBits>::kLoads; ++l) {
          words[l] = word_of(tile.words[step][l], 2 * m + r);
        }
        const uint32_t own_scale = own_scales >> 8 * (2 * m + r);
        key_levels<kBits>(words, t, table_of<kBits>(own_scale, books), levels[r]);
      }
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        int32_t sums[4];
        multiply_levels<kTerms>(levels, queries.b[half][step], sums);
#pragma unroll
        for (int r = 0; r < 2; ++r) {
          const float scale = scale_value<kBookBits>(tile.scales[2 * step + half], 2 * m + r);
          total[r] += scale;
#pragma unroll
          for (int j = 0; j < 2; ++j) {
            scores[m][2 * r + j] =
                fmaf(__int_as_float(sums[2 * r + j]), scale, scores[m][2 * r + j]);
          }
        }
      }
    }
    const float unit = level_unit<kBookBits>(tile.exponent);
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      scores[m][i] =
          fmaf(-kSumStart, total[i / 2], scores[m][i]) * kScaleUnit * (queries.unit[i % 2] * unit);
    }
  }
}

template <int kDim>
__device__ __forceinline__ void score_tile(const KeyTile<16, kDim>& tile,
                                           const KeyQueries<16, kDim>& queries,
                                           const Table<16> (&)[kBooksMax],
                                           int lane,
                                           Scores& scores) {
  const int g = lane / 4, t = lane % 4;
#pragma unroll
  for (int m = 0; m < 2; ++m) {
#pragma unroll
    for (int i = 0; i < 4; ++i) scores[m][i] = 0.0f;
  }
#pragma unroll
  for (int step = 0; step < KeyQueries<16, kDim>::kSteps; ++step) {
    uint4 words[4];
#pragma unroll
    for (int l = 0; l < 4; ++l) {
      words[l] = load_once(tile.words + 8 * (16 * step + Codes<16>::row(t, l)) + g);
    }
#pragma unroll
    for (int m = 0; m < 2; ++m) {
#pragma unroll
      for (int pair = 0; pair < 4; pair += 2) {
        const uint32_t a[4] = {word_of(words[pair], 2 * m), word_of(words[pair], 2 * m + 1),
                               word_of(words[pair + 1], 2 * m),
                               word_of(words[pair + 1], 2 * m + 1)};
#pragma unroll
        for (int part = 0; part < 2; ++part) {
          mma_bf16(scores[m], a, queries.b[part][step][pair], queries.b[part][step][pair + 1]);
        }
      }
    }
  }
}

}  // namespace tq::kernels::cuda
