#pragma once
// Scores of a tile of 32 keys for up to 8 queries, by one warp: attend.cuh's first half.
//
// Keys are the rows of the MMAs. The 16 bytes that a lane loads are 4 tokens of one word, and just
// these tokens are its rows: lane 4g + t holds tokens 4g + 2m + r, as row g + 8r of product m. What
// a lane has loaded is its operand; nothing passes through shared memory.

#include "kernels/cuda/attend_place.cuh"
#include "kernels/cuda/attend_queries.cuh"
#include "kernels/cuda/attend_softmax.cuh"

namespace tq::kernels::cuda {

__device__ __forceinline__ uint32_t word_of(const uint4& words, int i) {
  return i == 0 ? words.x : i == 1 ? words.y : i == 2 ? words.z : words.w;
}

// Keys are read 4 tokens at a time: bytes of a row of words.
inline constexpr int kKeyRowBytes = 4 * kTile;

// 16 bytes, or zeros where there is nothing to read.
__device__ __forceinline__ uint4 load_if(bool has, const std::byte* at) {
  return has ? load_once(reinterpret_cast<const uint4*>(at)) : uint4{0, 0, 0, 0};
}

// What a lane reads of a tile of keys. Pointers are the lane's own: to its first load, to the
// scales of its tokens.
template <int kBits, int kDim, int kQueries>
struct KeyTile {
  uint4 words[kSteps<kDim>][Codes<kBits>::kLoads];
  uint32_t scales[kSteps<kDim>][kProducts<kQueries>];  // of the lane's four tokens
  uint8_t exponent;

  // With 4 queries a lane reads the scales of its own group of each step, else of both.
  __device__ static constexpr int first_group(int lane) { return kQueries == 4 ? lane % 4 / 2 : 0; }
  __device__ static constexpr uint32_t first_load(int lane) {
    return Codes<kBits>::first_load(lane, kKeyRowBytes);
  }
  __device__ static constexpr uint32_t first_scale(int lane) {
    return static_cast<uint32_t>(first_group(lane) * kTile + lane / 4 * 4);
  }
  __device__ __forceinline__ void load(const std::byte* at,
                                       const uint8_t* first_scales,
                                       const uint8_t* tile_exponent,
                                       int lane) {
#pragma unroll
    for (int step = 0; step < kSteps<kDim>; ++step) {
      const bool has = reaches<kDim>(step, lane % 4 / 2 * kKeyGroup);
#pragma unroll
      for (int l = 0; l < Codes<kBits>::kLoads; ++l) {
        const int offset = Codes<kBits>::load_at(lane % 4, step, l, kKeyRowBytes);
        words[step][l] = load_if(has, at + offset);
      }
#pragma unroll
      for (int product = 0; product < kProducts<kQueries>; ++product) {
        const int group = 2 * step + product;
        scales[step][product] = 0;
        if (reaches<kDim>(step, (first_group(lane) + product) * kKeyGroup)) {
          scales[step][product] = *reinterpret_cast<const uint32_t*>(first_scales + group * kTile);
        }
      }
    }
    exponent = *tile_exponent;
  }
};

template <int kDim, int kQueries>
struct KeyTile<16, kDim, kQueries> : Bf16Tile<kKeyRowBytes> {};

// With 4 queries, scores are the sums of columns n and n + 4.
template <int kQueries>
__device__ __forceinline__ void add_halves(Scores& scores) {
  if constexpr (kQueries == 4) {
#pragma unroll
    for (int m = 0; m < 2; ++m) {
#pragma unroll
      for (int i = 0; i < 4; ++i) scores[m][i] += __shfl_xor_sync(~0u, scores[m][i], 2);
    }
  }
}

// With a key bias, what that needs is kept too: without room fewer steps are begun at once.
template <bool kBiased, int kBits, int kDim, int kQueries>
__device__ __forceinline__ void score_tile(const KeyTile<kBits, kDim, kQueries>& tile,
                                           const KeyQueries<kBits, kDim, kQueries>& queries,
                                           const Table<kBits> (&books)[kBooksMax],
                                           int lane,
                                           Scores& scores) {
  constexpr int kBookBits = key_book_bits(kBits);
  constexpr int kTerms = Codes<kBits>::kTerms;
  const int t = lane % 4;
  // Else operands would be chosen before the loop over tiles.
  const int t_of_operand = KeyQueries<kBits, kDim, kQueries>::kOnce ? forgotten(t) : t;
  float total[2][2] = {};  // of the scales: what the starts of sums have added
#pragma unroll
  for (int m = 0; m < 2; ++m) {
#pragma unroll
    for (int i = 0; i < 4; ++i) scores[m][i] = 0.0f;
  }
#pragma unroll
  for (int step = 0; step < kSteps<kDim>; ++step) {
    if (kBiased && !kRoomy<kDim> && 2 * step == kSteps<kDim>) hold_back();
    const uint32_t own_scales =
        t < 2 ? tile.scales[step][0] : tile.scales[step][kProducts<kQueries> - 1];
#pragma unroll
    for (int m = 0; m < 2; ++m) {
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
      for (int product = 0; product < kProducts<kQueries>; ++product) {
        int32_t sums[4];
        const uint32_t b[2] = {queries.operand(product, step, 0, t_of_operand),
                               queries.operand(product, step, 1, t_of_operand)};
        multiply_levels<kTerms>(levels, b, sums);
#pragma unroll
        for (int r = 0; r < 2; ++r) {
          const float scale = scale_value<kBookBits>(tile.scales[step][product], 2 * m + r);
          total[m][r] += scale;
#pragma unroll
          for (int j = 0; j < 2; ++j) {
            scores[m][2 * r + j] =
                fmaf(__int_as_float(sums[2 * r + j]), scale, scores[m][2 * r + j]);
          }
        }
      }
    }
  }
#pragma unroll
  for (int m = 0; m < 2; ++m) {
#pragma unroll
    for (int i = 0; i < 4; ++i) scores[m][i] = fmaf(-kSumStart, total[m][i / 2], scores[m][i]);
  }
  add_halves<kQueries>(scores);
  // Both roots make up for the scales' unit; either factor alone is far from overflow.
  const float key_unit = level_unit<kBookBits>(tile.exponent) * kScaleUnitRoot;
#pragma unroll
  for (int m = 0; m < 2; ++m) {
#pragma unroll
    for (int i = 0; i < 4; ++i) scores[m][i] *= queries.unit[i % 2] * key_unit;
  }
}

template <bool, int kDim, int kQueries>
__device__ __forceinline__ void score_tile(const KeyTile<16, kDim, kQueries>& tile,
                                           const KeyQueries<16, kDim, kQueries>& queries,
                                           const Table<16> (&)[kBooksMax],
                                           int lane,
                                           Scores& scores) {
#pragma unroll
  for (int m = 0; m < 2; ++m) {
#pragma unroll
    for (int i = 0; i < 4; ++i) scores[m][i] = 0.0f;
  }
#pragma unroll
  for (int step = 0; step < kSteps<kDim>; ++step) {
    // No load moves over this: without room, half of the words are asked for at a time.
    if (!kRoomy<kDim> && 2 * step == kSteps<kDim>) __syncwarp();
    uint4 words[4];
#pragma unroll
    for (int l = 0; l < 4; ++l) {
      const int offset = Codes<16>::load_at(lane % 4, step, l, kKeyRowBytes);
      words[l] = load_if(reaches<kDim>(step, lane % 4 / 2 * kKeyGroup), tile.at + offset);
    }
#pragma unroll
    for (int m = 0; m < 2; ++m) {
#pragma unroll
      for (int pair = 0; pair < 4; pair += 2) {
        const uint32_t a[4] = {word_of(words[pair], 2 * m), word_of(words[pair], 2 * m + 1),
                               word_of(words[pair + 1], 2 * m),
                               word_of(words[pair + 1], 2 * m + 1)};
#pragma unroll
        for (int product = 0; product < kProducts<kQueries>; ++product) {
          mma_bf16(scores[m], a, queries.b[product][step][pair],
                   queries.b[product][step][pair + 1]);
        }
      }
    }
  }
  add_halves<kQueries>(scores);
}

}  // namespace tq::kernels::cuda
