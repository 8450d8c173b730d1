#pragma once
// The byte layout of each WeightType: ggml's block structs, the only place that knows them, and the
// size of a tensor. Plain values; any thread. Source: ggml's quantisation format (ggml-common.h),
// pinned by tests/golden/weights.

#include <cstdint>
#include <optional>
#include <span>

#include "models/weights/weight_source.h"

namespace tq::models {

inline constexpr int kSmallBlock = 32;
inline constexpr int kSuperBlock = 256;

// Scales are IEEE half precision, kept as bits.
struct BlockQ8_0 {
  uint16_t d;
  int8_t q[kSmallBlock];
};
struct BlockQ4_0 {  // value = d (q - 8); element i in the low nibble of byte i, i + 16 in the high
                    // one
  uint16_t d;
  uint8_t q[kSmallBlock / 2];
};
struct BlockQ4_1 {  // value = d q + m
  uint16_t d;
  uint16_t m;
  uint8_t q[kSmallBlock / 2];
};
struct BlockQ5_0 {  // value = d (q - 16); bit i of q_high is the fifth of element i
  uint16_t d;
  uint8_t q_high[4];
  uint8_t q[kSmallBlock / 2];
};
struct BlockQ5_1 {  // value = d q + m
  uint16_t d;
  uint16_t m;
  uint8_t q_high[4];
  uint8_t q[kSmallBlock / 2];
};
// q_high of these two, the first element's bit lowest.
uint32_t fifth_bits(const uint8_t (&q_high)[4]) noexcept;
struct BlockQ4_K {  // 8 sub-blocks of 32 with 6-bit scales and minima in `scales`
  uint16_t d;
  uint16_t d_min;
  uint8_t scales[12];
  uint8_t q[kSuperBlock / 2];
};
struct BlockQ5_K {
  uint16_t d;
  uint16_t d_min;
  uint8_t scales[12];
  uint8_t q_high[kSuperBlock / 8];
  uint8_t q[kSuperBlock / 2];
};
struct BlockQ6_K {  // 16 sub-blocks of 16 with 8-bit scales
  uint8_t q_low[kSuperBlock / 2];
  uint8_t q_high[kSuperBlock / 4];
  int8_t scales[kSuperBlock / 16];
  uint16_t d;
};
static_assert(sizeof(BlockQ8_0) == 34 && sizeof(BlockQ4_0) == 18 && sizeof(BlockQ4_1) == 20);
static_assert(sizeof(BlockQ5_0) == 22 && sizeof(BlockQ5_1) == 24);
static_assert(sizeof(BlockQ4_K) == 144 && sizeof(BlockQ5_K) == 176 && sizeof(BlockQ6_K) == 210);

// The 6-bit scale and minimum of sub-block j in [0, 8), `packed` as BlockQ4_K and BlockQ5_K hold
// them: the first four lie whole in bytes 0-3 and 4-7, the others have their low nibbles in bytes
// 8-11 and their top two bits above the first four.
struct SubScales {
  int scale;
  int min;
};
SubScales sub_scales(const uint8_t* packed, int j) noexcept;

struct BlockShape {
  int64_t elements;  // values of one block
  int64_t bytes;
};

BlockShape block_shape(WeightType type) noexcept;

// Bytes of a tensor; nullopt where a dimension is negative, the count overflows, or a row is no
// whole number of blocks. A tensor without dimensions is a scalar.
std::optional<int64_t> tensor_bytes(WeightType type, std::span<const int64_t> shape) noexcept;

}  // namespace tq::models
