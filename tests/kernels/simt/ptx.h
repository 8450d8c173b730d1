#pragma once
// The device functions of kernels/cuda/ptx.cuh on the CPU, by the fragment layouts of the PTX ISA,
// and the CUDA intrinsics that kernels use. Tests only.

#include <cmath>
#include <cstdint>

#include "tests/kernels/simt/simt.h"

inline uint32_t __float_as_uint(float value) { return tq::kernels::simt::to_bits(value); }
inline float __uint_as_float(uint32_t bits) { return tq::kernels::simt::from_bits<float>(bits); }
inline int __float_as_int(float value) { return static_cast<int>(__float_as_uint(value)); }
inline float __int_as_float(int bits) { return __uint_as_float(static_cast<uint32_t>(bits)); }
// Tests are compiled without contraction.
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fsub_rn(float a, float b) { return a - b; }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fdiv_rn(float a, float b) { return a / b; }
inline float __fdividef(float a, float b) { return a / b; }
inline int __float2int_rn(float value) { return static_cast<int>(std::nearbyint(value)); }

// Byte i of the result is the byte of a (0-3) and b (4-7) that nibble i of the selector names; with
// the nibble's highest bit, that byte's sign eight times.
inline uint32_t __byte_perm(uint32_t a, uint32_t b, uint32_t selector) {
  const uint64_t bytes = uint64_t{b} << 32 | a;
  uint32_t result = 0;
  for (int i = 0; i < 4; ++i) {
    const uint32_t nibble = selector >> 4 * i & 15u;
    uint32_t byte = static_cast<uint32_t>(bytes >> 8 * (nibble & 7u)) & 0xffu;
    if (nibble & 8u) byte = byte & 0x80u ? 0xffu : 0u;
    result |= byte << 8 * i;
  }
  return result;
}

namespace tq::kernels::cuda {

inline std::byte* shared_memory() { return simt::self().shared; }

inline uint4 load_once(const uint4* at) { return *at; }

inline float exp2_fast(float x) { return std::exp2(x); }

uint32_t pack_bf16(float low, float high);

void mma_s8(int32_t (&d)[4],
            const uint32_t (&a)[4],
            uint32_t b0,
            uint32_t b1,
            const int32_t (&c)[4],
            const simt::Place& place = simt::Place::current());

void mma_bf16(float (&d)[4],
              const uint32_t (&a)[4],
              uint32_t b0,
              uint32_t b1,
              const simt::Place& place = simt::Place::current());

uint32_t transpose_8x8(uint32_t row, const simt::Place& place = simt::Place::current());

}  // namespace tq::kernels::cuda
