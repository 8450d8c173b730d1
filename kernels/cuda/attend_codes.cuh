#pragma once
// Codes of the store as operands of integer MMAs, for attend_keys.cuh and attend_values.cuh. Levels
// are int8, so a word of codes becomes bytes by PRMT, whose selectors are nibbles: no arithmetic,
// no table in memory.
//
// A lane's share of a step of 32 depths is 8 codes of each of its rows: two registers of four.

#include "kernels/cuda/launch.h"
#include "kernels/cuda/ptx.cuh"

namespace tq::kernels::cuda {

// 2 to 4 bits have tables. At 4 bits there are two, of codes 0-7 and 8-15, whose look-ups are added
// by the MMA: a code has bit 3 of its nibble set for one of them, where PRMT yields the sign of an
// entry, 0 or -1, and the other table's entries make up for it.
template <int kBits>
struct Codes {
  static constexpr int kTerms = kBits == 4 ? 2 : 1;  // operands whose products are added
  static constexpr int kLoads = kBits == 16 ? 4 : kBits == 8 || kBits == 3 ? 2 : 1;
  static constexpr int kPrefetched = kBits == 16 ? 0 : kLoads;
  static constexpr int kStepRows = kBits == 3 ? 3 : kBits;  // rows of words of 32 depths

  // A lane reads words in rows of one word per lane of the tile: this row of a step for its load l.
  __device__ static constexpr int row(int t, int l) {
    if (kBits == 4) return t;
    if (kBits == 2) return t / 2;
    if (kBits == 3) return l == 0 ? 0 : 1 + t / 2;
    return kLoads * t + l;
  }
  // Bytes from the tile's start to a lane's first load, and from there to load l of a step; a row
  // of words has row_bytes.
  __device__ static constexpr uint32_t first_load(int lane, int row_bytes) {
    return static_cast<uint32_t>(row(lane % 4, 0) * row_bytes + lane / 4 * 16);
  }
  __device__ static constexpr int load_at(int t, int step, int l, int row_bytes) {
    return (kStepRows * step + (kBits == 3 ? row(t, l) : l)) * row_bytes;
  }
  static constexpr int kTableWords = kBits == 4 ? 4 : kBits == 3 ? 2 : kBits == 2 ? 1 : 0;
};

template <int kBits>
struct Table {
  uint32_t word[Codes<kBits>::kTableWords == 0 ? 1 : Codes<kBits>::kTableWords];
};

template <int kBits>
__device__ __forceinline__ Table<kBits> table_of_book(const HalfView& half, int book) {
  Table<kBits> table{};
#pragma unroll
  for (int i = 0; i < Codes<kBits>::kTableWords; ++i) {
    table.word[i] = half.tables[book * Codes<kBits>::kTableWords + i];
  }
  return table;
}

// Bits 0, 2, .. 14 of x to bits 2, 6, .. 30.
__device__ __forceinline__ uint32_t spread_high_bits(uint32_t x) {
  x = (x & 0x5555u) * 0x101u & 0x00550055u;  // to bytes 0 and 2
  x = x * 0x11u & 0x05050505u;               // two to a byte
  return x * 0x14u & 0x44444444u;
}

// Levels of 8 codes; the lower four nibbles of each selector count.
template <int kBits>
__device__ __forceinline__ void look_up(const uint32_t (&selectors)[2],
                                        const Table<kBits>& table,
                                        uint32_t (&levels)[Codes<kBits>::kTerms][2]) {
  for (int i = 0; i < 2; ++i) {
    if constexpr (kBits == 4) {
      levels[0][i] = permute_bytes(table.word[0], table.word[1], selectors[i]);
      levels[1][i] = permute_bytes(table.word[2], table.word[3], selectors[i] ^ 0x88888888u);
    } else if constexpr (kBits == 3) {
      levels[0][i] = permute_bytes(table.word[0], table.word[1], selectors[i]);
    } else {
      levels[0][i] = permute_bytes(table.word[0], table.word[0], selectors[i]);
    }
  }
}

// Levels of the 8 codes of a key that are lane t's in a step of 32 dimensions: see key_dim().
template <int kBits>
__device__ __forceinline__ void key_levels(const uint32_t (&words)[Codes<kBits>::kLoads],
                                           int t,
                                           const Table<kBits>& table,
                                           uint32_t (&levels)[Codes<kBits>::kTerms][2]) {
  if constexpr (kBits == 8) {
    levels[0][0] = words[0];
    levels[0][1] = words[1];
  } else if constexpr (kBits == 4) {
    look_up<kBits>({words[0], words[0] >> 16}, table, levels);
  } else if constexpr (kBits == 3) {
    const uint32_t selectors = (words[1] >> 2 * (t & 1) & 0x33333333u) |
                               spread_high_bits(words[0] >> (16 * (t / 2) + (t & 1)));
    look_up<kBits>({selectors, selectors >> 16}, table, levels);
  } else {
    const uint32_t selectors = words[0] >> 2 * (t & 1) & 0x33333333u;
    look_up<kBits>({selectors, selectors >> 16}, table, levels);
  }
}

// Levels of one dimension of the tokens 8t to 8t + 7; at 2 and 3 bits the even tokens first.
template <int kBits>
__device__ __forceinline__ void value_levels(const uint32_t (&words)[Codes<kBits>::kLoads],
                                             int t,
                                             const Table<kBits>& table,
                                             uint32_t (&levels)[Codes<kBits>::kTerms][2]) {
  if constexpr (kBits >= 4) {
    key_levels<kBits>(words, t, table, levels);
  } else if constexpr (kBits == 3) {
    const uint32_t low = words[1] >> 16 * (t & 1);
    const uint32_t even = words[0] >> 8 * t;
    // The odd bits follow the even ones, 8 further on.
    const uint32_t high = spread_high_bits((even & 0x55u) | (even << 7 & 0x5500u));
    look_up<kBits>({(low & 0x3333u) | (high & 0x4444u), (low >> 2 & 0x3333u) | high >> 16}, table,
                   levels);
  } else {
    const uint32_t low = words[0] >> 16 * (t & 1);
    look_up<kBits>({low & 0x3333u, low >> 2 & 0x3333u}, table, levels);
  }
}

// The dimension of entry e of lane t's 8 in a step. Lanes 0 and 1 have the first 16 dimensions,
// lanes 2 and 3 the others: two groups of scales.
template <int kBits>
__device__ __forceinline__ constexpr int key_dim(int step, int t, int e) {
  return 32 * step + (kBits >= 4 ? 8 * t + e : 16 * (t / 2) + 2 * e + t % 2);
}

// Codebook of a key's scale byte, and its table.
template <int kBits>
__device__ __forceinline__ Table<kBits> table_of(uint32_t scale,
                                                 const Table<kBits> (&books)[kBooksMax]) {
  if constexpr (kBits == 3) return scale & 0x40u ? books[1] : books[0];
  if constexpr (kBits == 2) {
    const Table<kBits> low = scale & 0x20u ? books[1] : books[0];
    const Table<kBits> high = scale & 0x20u ? books[3] : books[2];
    return scale & 0x40u ? high : low;
  }
  return books[0];
}

constexpr int key_book_bits(int bits) { return bits == 3 ? 1 : bits == 2 ? 2 : 0; }

// quant::ScaleFormat::value() of byte i of a word, over 2^112 and its unit(): the magnitude stands
// in the lower exponent bits and upper mantissa bits of a float, subnormals included.
inline constexpr float kScaleUnit = 0x1p112f;
inline constexpr float kScaleUnitRoot = 0x1p56f;
template <int kBookBits>
__device__ __forceinline__ float scale_value(uint32_t word, int i) {
  constexpr uint32_t kMask = 0x80000000u | 0x7fu >> kBookBits << 20;
  return __uint_as_float(static_cast<uint32_t>(static_cast<int32_t>(word << (24 - 8 * i)) >> 4) &
                         kMask);
}

// What one level stands for, in scales: 2^(exponent - 127) / 127, times unit() of the scales.
template <int kBookBits>
__device__ __forceinline__ float level_unit(uint8_t exponent) {
  constexpr float kUnit = (kBookBits == 0 ? 1.0f : kBookBits == 1 ? 0x1p8f : 0x1p12f) / 127.0f;
  return __uint_as_float(static_cast<uint32_t>(exponent) << 23) * kUnit;
}

// An integer sum below 2^22 that starts from this is, read as a float, kSumStart more than it.
inline constexpr int32_t kSumStartBits = 0x4b400000;
inline constexpr float kSumStart = 12582912.0f;

// sums = start + the product of rows g and g + 8, whose levels are given, with B.
template <int kTerms>
__device__ __forceinline__ void multiply_levels(const uint32_t (&levels)[2][kTerms][2],
                                                const uint32_t (&b)[2],
                                                int32_t (&sums)[4]) {
  const int32_t start[4] = {kSumStartBits, kSumStartBits, kSumStartBits, kSumStartBits};
  mma_s8(sums, {levels[0][0][0], levels[1][0][0], levels[0][0][1], levels[1][0][1]}, b[0], b[1],
         start);
  if constexpr (kTerms == 2) {
    mma_s8(sums, {levels[0][1][0], levels[1][1][0], levels[0][1][1], levels[1][1][1]}, b[0], b[1],
           sums);
  }
}

}  // namespace tq::kernels::cuda
