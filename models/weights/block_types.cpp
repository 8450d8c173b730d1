#include "models/weights/block_types.h"

#include <cstring>

namespace tq::models {

std::string_view to_string(WeightType type) noexcept {
  switch (type) {
    case WeightType::kF32: return "F32";
    case WeightType::kF16: return "F16";
    case WeightType::kBF16: return "BF16";
    case WeightType::kQ8_0: return "Q8_0";
    case WeightType::kQ4_0: return "Q4_0";
    case WeightType::kQ4_1: return "Q4_1";
    case WeightType::kQ5_0: return "Q5_0";
    case WeightType::kQ5_1: return "Q5_1";
    case WeightType::kQ4_K: return "Q4_K";
    case WeightType::kQ5_K: return "Q5_K";
    case WeightType::kQ6_K: return "Q6_K";
  }
  return "?";
}

uint32_t fifth_bits(const uint8_t (&q_high)[4]) noexcept {
  uint32_t bits = 0;
  std::memcpy(&bits, q_high, sizeof bits);
  return bits;
}

SubScales sub_scales(const uint8_t* packed, int j) noexcept {
  if (j < 4) return {packed[j] & 63, packed[j + 4] & 63};
  return {(packed[j + 4] & 15) | (packed[j - 4] >> 6) << 4, (packed[j + 4] >> 4) | (packed[j] >> 6)
                                                                                       << 4};
}

BlockShape block_shape(WeightType type) noexcept {
  switch (type) {
    case WeightType::kF32: return {1, 4};
    case WeightType::kF16: return {1, 2};
    case WeightType::kBF16: return {1, 2};
    case WeightType::kQ8_0: return {kSmallBlock, sizeof(BlockQ8_0)};
    case WeightType::kQ4_0: return {kSmallBlock, sizeof(BlockQ4_0)};
    case WeightType::kQ4_1: return {kSmallBlock, sizeof(BlockQ4_1)};
    case WeightType::kQ5_0: return {kSmallBlock, sizeof(BlockQ5_0)};
    case WeightType::kQ5_1: return {kSmallBlock, sizeof(BlockQ5_1)};
    case WeightType::kQ4_K: return {kSuperBlock, sizeof(BlockQ4_K)};
    case WeightType::kQ5_K: return {kSuperBlock, sizeof(BlockQ5_K)};
    case WeightType::kQ6_K: return {kSuperBlock, sizeof(BlockQ6_K)};
  }
  return {1, 0};
}

std::optional<int64_t> tensor_bytes(WeightType type, std::span<const int64_t> shape) noexcept {
  const BlockShape block = block_shape(type);
  const int64_t row = shape.empty() ? 1 : shape.back();
  if (row % block.elements != 0) return std::nullopt;
  int64_t count = 1;
  for (const int64_t size : shape) {
    if (size < 0 || __builtin_mul_overflow(count, size, &count)) return std::nullopt;
  }
  int64_t bytes = 0;
  if (__builtin_mul_overflow(count / block.elements, block.bytes, &bytes)) return std::nullopt;
  return bytes;
}

int64_t WeightView::n_elements() const noexcept {
  int64_t count = 1;
  for (const int64_t size : shape) count *= size;
  return count;
}

}  // namespace tq::models
