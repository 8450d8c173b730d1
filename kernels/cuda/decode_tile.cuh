#pragma once
// A tile of 32 tokens from codes into shared memory, as pairs of bf16 that are operands of MMAs:
// for attend_rows.cuh, where one decoding serves many queries. All threads of the block take part.
//
// Keys get their scales (one rounding, to bf16); values stay levels, which bf16 holds exactly, and
// their scales, one to a token, belong to the weights.

#include "kernels/cuda/attend_codes.cuh"
#include "kernels/cuda/attend_place.cuh"

namespace tq::kernels::cuda {

inline constexpr int kRowWarps = 4;
inline constexpr int kRowThreads = 32 * kRowWarps;

// Words, two bf16 each. Rows are padded so that the operand of a warp, words of rows t and columns
// g, comes from all 32 banks.
template <int kDim>
struct DecodedTile {
  static constexpr int kKeyStride = kTile + 8;
  static constexpr int kValueStride = kDim + 8;
  static constexpr int kGroups = (kDim + kValueGroup - 1) / kValueGroup;
  uint32_t keys[kDim / 2 * kKeyStride];       // [two dimensions][token]
  uint32_t values[kTile / 2 * kValueStride];  // [two tokens][dimension]
  float value_scales[kGroups][kTile];
};

// Bytes that are added without a carry from one to the next.
__device__ __forceinline__ uint32_t add_bytes(uint32_t a, uint32_t b) {
  return ((a & 0x7f7f7f7fu) + (b & 0x7f7f7f7fu)) ^ ((a ^ b) & 0x80808080u);
}

// Byte i, signed, as a float: 2^23 + 128 more than it are its bits behind an exponent.
__device__ __forceinline__ float level_value(uint32_t bytes, int i) {
  const uint32_t bits = permute_bytes(bytes ^ 0x80808080u, 0x4b000000u, 0x7650u | i);
  return __uint_as_float(bits) - 8388736.0f;
}

template <int kTerms>
__device__ __forceinline__ void add_terms(const uint32_t (&levels)[kTerms][2],
                                          uint32_t (&bytes)[2]) {
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    bytes[i] = kTerms == 2 ? add_bytes(levels[0][i], levels[kTerms - 1][i]) : levels[0][i];
  }
}

// 32 levels of a row of codes, as key_levels() and value_levels() order them. word_at(t, row): that
// row's word, for lane t's part.
template <int kBits, class WordAt, class Levels>
__device__ __forceinline__ void read_levels(WordAt word_at,
                                            Levels levels_of,
                                            uint32_t (&bytes)[4][2]) {
#pragma unroll
  for (int t = 0; t < 4; ++t) {
    uint32_t words[Codes<kBits>::kLoads];
#pragma unroll
    for (int l = 0; l < Codes<kBits>::kLoads; ++l) words[l] = word_at(t, Codes<kBits>::row(t, l));
    uint32_t levels[Codes<kBits>::kTerms][2];
    levels_of(words, t, levels);
    add_terms<Codes<kBits>::kTerms>(levels, bytes[t]);
  }
}

// A warp takes 32 dimensions at a time, a lane is a token.
template <int kBits, int kDim>
__device__ __forceinline__ void decode_keys(const HalfView& half,
                                            const uint32_t* words,
                                            const uint8_t* scales,
                                            uint8_t exponent,
                                            DecodedTile<kDim>& tile) {
  constexpr int kStride = DecodedTile<kDim>::kKeyStride;
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  if constexpr (kBits == 16) {
    for (int pair = warp; pair < kDim / 2; pair += kRowWarps) {
      tile.keys[pair * kStride + lane] = words[pair * kTile + lane];
    }
  } else {
    constexpr int kBookBits = key_book_bits(kBits);
    Table<kBits> books[kBooksMax] = {};
#pragma unroll
    for (int book = 0; book < 1 << kBookBits; ++book) {
      books[book] = table_of_book<kBits>(half, book);
    }
    const float unit = level_unit<kBookBits>(exponent);
    for (int step = warp; step < kSteps<kDim>; step += kRowWarps) {
      uint32_t own_scales[2] = {};
      float factors[2] = {};
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        if (!reaches<kDim>(step, i * kKeyGroup)) continue;
        own_scales[i] = scales[(2 * step + i) * kTile + lane];
        factors[i] = scale_value<kBookBits>(own_scales[i], 0) * kScaleUnit * unit;
      }
      uint32_t bytes[4][2];
      read_levels<kBits>(
          [&](int t, int row) {
            if (!reaches<kDim>(step, t / 2 * kKeyGroup)) return 0u;
            return words[(Codes<kBits>::kStepRows * step + row) * kTile + lane];
          },
          [&](const auto& of_row, int t, auto& levels) {
            key_levels<kBits>(of_row, t, table_of<kBits>(own_scales[t / 2], books), levels);
          },
          bytes);
#pragma unroll
      for (int pair = 0; pair < 16; ++pair) {
        if (!reaches<kDim>(step, 2 * pair)) continue;
        const float factor = factors[pair / 8];
        float x, y;  // of the dimensions 2 pair and 2 pair + 1, see key_dim()
        if constexpr (kBits >= 4) {
          x = level_value(bytes[pair / 4][pair / 2 % 2], pair % 2 * 2);
          y = level_value(bytes[pair / 4][pair / 2 % 2], pair % 2 * 2 + 1);
        } else {
          x = level_value(bytes[pair / 8 * 2][pair / 4 % 2], pair % 4);
          y = level_value(bytes[pair / 8 * 2 + 1][pair / 4 % 2], pair % 4);
        }
        tile.keys[(16 * step + pair) * kStride + lane] = pack_bf16(x * factor, y * factor);
      }
    }
  }
}

// A thread takes one dimension. Pairs of tokens from n_tokens on are zero.
template <int kBits, int kDim>
__device__ __forceinline__ void decode_values(const HalfView& half,
                                              const uint32_t* words,
                                              const uint8_t* scales,
                                              uint8_t exponent,
                                              int n_tokens,
                                              DecodedTile<kDim>& tile) {
  constexpr int kStride = DecodedTile<kDim>::kValueStride;
  const int thread = static_cast<int>(threadIdx.x);
  const float unit = kBits == 16 ? 1.0f : level_unit<0>(exponent);
  for (int i = thread; i < DecodedTile<kDim>::kGroups * kTile; i += kRowThreads) {
    float scale = 1.0f;
    if constexpr (kBits < 16) scale = scale_value<0>(scales[i], 0) * kScaleUnit * unit;
    tile.value_scales[i / kTile][i % kTile] = scale;
  }
  if constexpr (kBits == 16) {
    for (int i = thread; i < kTile / 2 * kDim; i += kRowThreads) {
      const int pair = i / kDim, dim = i % kDim;
      tile.values[pair * kStride + dim] = 2 * pair < n_tokens ? words[i] : 0;
    }
  } else {
    const Table<kBits> table = table_of_book<kBits>(half, 0);
    for (int dim = thread; dim < kDim; dim += kRowThreads) {
      uint32_t bytes[4][2];
      read_levels<kBits>([&](int, int row) { return words[row * kDim + dim]; },
                         [&](const auto& of_row, int t, auto& levels) {
                           value_levels<kBits>(of_row, t, table, levels);
                         },
                         bytes);
#pragma unroll
      for (int pair = 0; pair < kTile / 2; ++pair) {
        const uint32_t(&own)[2] = bytes[pair / 4];
        float x, y;  // of the tokens 2 pair and 2 pair + 1, see value_levels()
        if constexpr (kBits >= 4) {
          x = level_value(own[pair / 2 % 2], pair % 2 * 2);
          y = level_value(own[pair / 2 % 2], pair % 2 * 2 + 1);
        } else {
          x = level_value(own[0], pair % 4);
          y = level_value(own[1], pair % 4);
        }
        tile.values[pair * kStride + dim] = pack_bf16(x, y);
      }
    }
  }
}

}  // namespace tq::kernels::cuda
