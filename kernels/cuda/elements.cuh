#pragma once
// Rows of an ElementType as floats in registers, up to 16 bytes in one access. Stores round to
// nearest even, NaN stays NaN.

#include "kernels/cuda/ptx.cuh"
#include "kernels/device_layers.h"

namespace tq::kernels::cuda {

template <int kCount>
struct Floats {
  float x[kCount];
};

// kCount elements as they lie in memory.
template <ElementType kType, int kCount>
struct alignas(kCount* element_bytes(kType)) Packed {
  uint32_t words[kCount * element_bytes(kType) / 4];
};

template <ElementType kType>
__device__ __forceinline__ float widen(uint16_t bits) {
  static_assert(kType != ElementType::kF32);
  return kType == ElementType::kF16 ? widen_fp16(bits)
                                    : __uint_as_float(static_cast<uint32_t>(bits) << 16);
}

// Elements [index * kCount, (index + 1) * kCount) of a row.
template <ElementType kType, int kCount>
__device__ __forceinline__ Floats<kCount> load(const void* row, int index) {
  const Packed<kType, kCount> packed = static_cast<const Packed<kType, kCount>*>(row)[index];
  Floats<kCount> values;
#pragma unroll
  for (int i = 0; i < kCount; ++i) {
    if constexpr (kType == ElementType::kF32) {
      values.x[i] = __uint_as_float(packed.words[i]);
    } else {
      values.x[i] = widen<kType>(static_cast<uint16_t>(packed.words[i / 2] >> 16 * (i % 2)));
    }
  }
  return values;
}

template <ElementType kType>
__device__ __forceinline__ float load_one(const void* row, int at) {
  if constexpr (kType == ElementType::kF32) {
    return static_cast<const float*>(row)[at];
  } else {
    return widen<kType>(static_cast<const uint16_t*>(row)[at]);
  }
}

template <ElementType kType, int kCount>
__device__ __forceinline__ void store(void* row, int index, const Floats<kCount>& values) {
  Packed<kType, kCount> packed;
#pragma unroll
  for (int i = 0; i < kCount; i += 4 / element_bytes(kType)) {
    if constexpr (kType == ElementType::kF32) {
      packed.words[i] = __float_as_uint(values.x[i]);
    } else if constexpr (kType == ElementType::kF16) {
      packed.words[i / 2] = pack_fp16(values.x[i], values.x[i + 1]);
    } else {
      packed.words[i / 2] = pack_bf16(values.x[i], values.x[i + 1]);
    }
  }
  static_cast<Packed<kType, kCount>*>(row)[index] = packed;
}

// Row `row` of rows of `size` elements.
template <ElementType kType>
__device__ __forceinline__ const void* row_of(const void* rows, int64_t row, int64_t size) {
  return static_cast<const std::byte*>(rows) + row * size * element_bytes(kType);
}
template <ElementType kType>
__device__ __forceinline__ void* row_of(void* rows, int64_t row, int64_t size) {
  return static_cast<std::byte*>(rows) + row * size * element_bytes(kType);
}

}  // namespace tq::kernels::cuda
