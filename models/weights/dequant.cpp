// dequantize(): ggml's reference decoding of each type, plain loops that the compiler vectorises.
// Compiled with -ffp-contract=off, so products and sums round separately on every machine, as in
// ggml's reference.

#include <bit>
#include <cstring>

#include "models/weights/block_types.h"

namespace tq::models {
namespace {

// IEEE half -> single; exact, without branches that would stop vectorisation.
inline float half_to_float(uint16_t half) noexcept {
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000u) << 16;
  const uint32_t magnitude = half & 0x7fffu;
  const float subnormal = static_cast<float>(magnitude) * 0x1p-24f;
  const uint32_t rebias =
      magnitude >= 0x7c00u ? 224u << 23 : 112u << 23;  // Inf and NaN keep theirs
  const uint32_t normal = (magnitude << 13) + rebias;
  const uint32_t bits = magnitude < 0x0400u ? std::bit_cast<uint32_t>(subnormal) : normal;
  return std::bit_cast<float>(bits | sign);
}

inline float bf16_to_float(uint16_t value) noexcept {
  return std::bit_cast<float>(static_cast<uint32_t>(value) << 16);
}

void decode(const BlockQ8_0& block, float* out) noexcept {
  const float d = half_to_float(block.d);
  for (int i = 0; i < kSmallBlock; ++i) out[i] = d * static_cast<float>(block.q[i]);
}

void decode(const BlockQ4_0& block, float* out) noexcept {
  const float d = half_to_float(block.d);
  constexpr int kHalf = kSmallBlock / 2;
  for (int i = 0; i < kHalf; ++i) out[i] = d * static_cast<float>((block.q[i] & 15) - 8);
  for (int i = 0; i < kHalf; ++i) out[i + kHalf] = d * static_cast<float>((block.q[i] >> 4) - 8);
}

void decode(const BlockQ4_1& block, float* out) noexcept {
  const float d = half_to_float(block.d);
  const float m = half_to_float(block.m);
  constexpr int kHalf = kSmallBlock / 2;
  for (int i = 0; i < kHalf; ++i) out[i] = d * static_cast<float>(block.q[i] & 15) + m;
  for (int i = 0; i < kHalf; ++i) out[i + kHalf] = d * static_cast<float>(block.q[i] >> 4) + m;
}

void decode(const BlockQ5_0& block, float* out) noexcept {
  const float d = half_to_float(block.d);
  const uint32_t high = fifth_bits(block.q_high);
  constexpr int kHalf = kSmallBlock / 2;
  for (int i = 0; i < kHalf; ++i) {
    out[i] =
        d * static_cast<float>(((block.q[i] & 15) | static_cast<int>(high >> i & 1) << 4) - 16);
    out[i + kHalf] =
        d *
        static_cast<float>(((block.q[i] >> 4) | static_cast<int>(high >> (i + 16) & 1) << 4) - 16);
  }
}

void decode(const BlockQ5_1& block, float* out) noexcept {
  const float d = half_to_float(block.d);
  const float m = half_to_float(block.m);
  const uint32_t high = fifth_bits(block.q_high);
  constexpr int kHalf = kSmallBlock / 2;
  for (int i = 0; i < kHalf; ++i) {
    out[i] = d * static_cast<float>((block.q[i] & 15) | static_cast<int>(high >> i & 1) << 4) + m;
    out[i + kHalf] =
        d * static_cast<float>((block.q[i] >> 4) | static_cast<int>(high >> (i + 16) & 1) << 4) + m;
  }
}

struct ScaleMin {
  float scale;
  float min;
};

ScaleMin sub_block(const uint8_t* packed, int j, float d, float d_min) noexcept {
  const SubScales of = sub_scales(packed, j);
  return {d * static_cast<float>(of.scale), d_min * static_cast<float>(of.min)};
}

void decode(const BlockQ4_K& block, float* out) noexcept {
  const float d = half_to_float(block.d);
  const float d_min = half_to_float(block.d_min);
  for (int pair = 0; pair < 4;
       ++pair) {  // two sub-blocks share 32 bytes: low nibbles, then high ones
    const uint8_t* q = block.q + 32 * pair;
    float* to = out + 64 * pair;
    const ScaleMin low = sub_block(block.scales, 2 * pair, d, d_min);
    const ScaleMin high = sub_block(block.scales, 2 * pair + 1, d, d_min);
    for (int i = 0; i < 32; ++i) to[i] = low.scale * static_cast<float>(q[i] & 15) - low.min;
    for (int i = 0; i < 32; ++i) to[i + 32] = high.scale * static_cast<float>(q[i] >> 4) - high.min;
  }
}

void decode(const BlockQ5_K& block, float* out) noexcept {
  const float d = half_to_float(block.d);
  const float d_min = half_to_float(block.d_min);
  for (int pair = 0; pair < 4; ++pair) {  // bit 2·pair (+1) of q_high[i] is the fifth bit
    const uint8_t* q = block.q + 32 * pair;
    float* to = out + 64 * pair;
    const ScaleMin low = sub_block(block.scales, 2 * pair, d, d_min);
    const ScaleMin high = sub_block(block.scales, 2 * pair + 1, d, d_min);
    for (int i = 0; i < 32; ++i) {
      const int value = (q[i] & 15) | (((block.q_high[i] >> (2 * pair)) & 1) << 4);
      to[i] = low.scale * static_cast<float>(value) - low.min;
    }
    for (int i = 0; i < 32; ++i) {
      const int value = (q[i] >> 4) | (((block.q_high[i] >> (2 * pair + 1)) & 1) << 4);
      to[i + 32] = high.scale * static_cast<float>(value) - high.min;
    }
  }
}

void decode(const BlockQ6_K& block, float* out) noexcept {
  const float d = half_to_float(block.d);
  for (int part = 0; part < 8; ++part) {  // 32 values each; four parts make half a block
    const int half = part / 4;
    const int quarter = part % 4;
    const uint8_t* low = block.q_low + 64 * half + 32 * (quarter % 2);
    const uint8_t* high = block.q_high + 32 * half;
    const int low_shift = quarter < 2 ? 0 : 4;
    float* to = out + 32 * part;
    const float scale[2] = {d * static_cast<float>(block.scales[2 * part]),
                            d * static_cast<float>(block.scales[2 * part + 1])};
    for (int i = 0; i < 32; ++i) {
      const int value = ((low[i] >> low_shift) & 15) | (((high[i] >> (2 * quarter)) & 3) << 4);
      to[i] = scale[i / 16] * static_cast<float>(value - 32);
    }
  }
}

template <class Block, int kElements>
void decode_blocks(const std::byte* from, std::span<float> out) noexcept {
  for (size_t at = 0; at < out.size(); at += kElements, from += sizeof(Block)) {
    Block block;  // a copy: the file's alignment may be 1
    std::memcpy(&block, from, sizeof(Block));
    decode(block, out.data() + at);
  }
}

template <float (*kConvert)(uint16_t) noexcept>
void decode_halves(const std::byte* from, std::span<float> out) noexcept {
  for (size_t i = 0; i < out.size(); ++i) {
    uint16_t value = 0;
    std::memcpy(&value, from + 2 * i, sizeof(value));
    out[i] = kConvert(value);
  }
}

}  // namespace

Result<void> dequantize(const WeightView& weight, int64_t first, std::span<float> out) {
  const BlockShape block = block_shape(weight.type);
  const int64_t count = static_cast<int64_t>(out.size());
  const int64_t total = weight.n_elements();
  if (first < 0 || first > total || count > total - first) {
    return Error{Code::kInvalidArgument,
                 "elements " + std::to_string(first) + " + " + std::to_string(count) +
                     " are outside the tensor's " + std::to_string(total),
                 weight.name};
  }
  if (first % block.elements != 0 || count % block.elements != 0) {
    return Error{Code::kInvalidArgument,
                 "elements " + std::to_string(first) + " + " + std::to_string(count) +
                     " do not fall on blocks of " + std::to_string(block.elements) + " (" +
                     std::string(to_string(weight.type)) + ")",
                 weight.name};
  }
  const int64_t offset = first / block.elements * block.bytes;
  const int64_t end = offset + count / block.elements * block.bytes;
  TQ_CHECK(end <= static_cast<int64_t>(weight.bytes.size()), "tensor shorter than its shape",
           weight.name, end, weight.bytes.size());
  const std::byte* from = weight.bytes.data() + offset;
  switch (weight.type) {
    case WeightType::kF32:
      if (count > 0) std::memcpy(out.data(), from, out.size_bytes());
      break;
    case WeightType::kF16: decode_halves<half_to_float>(from, out); break;
    case WeightType::kBF16: decode_halves<bf16_to_float>(from, out); break;
    case WeightType::kQ8_0: decode_blocks<BlockQ8_0, kSmallBlock>(from, out); break;
    case WeightType::kQ4_0: decode_blocks<BlockQ4_0, kSmallBlock>(from, out); break;
    case WeightType::kQ4_1: decode_blocks<BlockQ4_1, kSmallBlock>(from, out); break;
    case WeightType::kQ5_0: decode_blocks<BlockQ5_0, kSmallBlock>(from, out); break;
    case WeightType::kQ5_1: decode_blocks<BlockQ5_1, kSmallBlock>(from, out); break;
    case WeightType::kQ4_K: decode_blocks<BlockQ4_K, kSuperBlock>(from, out); break;
    case WeightType::kQ5_K: decode_blocks<BlockQ5_K, kSuperBlock>(from, out); break;
    case WeightType::kQ6_K: decode_blocks<BlockQ6_K, kSuperBlock>(from, out); break;
  }
  return {};
}

}  // namespace tq::models
