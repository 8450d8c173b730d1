#pragma once
// The device functions of kernels/cuda/ptx.cuh on the CPU, by the fragment layouts of the PTX ISA,
// and the CUDA intrinsics that kernels use. Tests only.

#include <cmath>
#include <cstdint>

#include "tests/kernels/simt/runner.h"
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
inline void sincospif(float half_turns, float* sine, float* cosine) {
  const double angle = 3.14159265358979323846 * double{half_turns};
  *sine = static_cast<float>(std::sin(angle));
  *cosine = static_cast<float>(std::cos(angle));
}

namespace tq::kernels::cuda {

inline std::byte* shared_memory() { return simt::self().shared; }

inline int forgotten(int x) { return x; }
inline void hold_back() {}

inline uint4 load_once(const uint4* at) { return *at; }

inline float exp2_fast(float x) { return std::exp2(x); }

float widen_fp16(uint16_t bits);

uint32_t permute_bytes(uint32_t a, uint32_t b, uint32_t selector);

uint32_t pack_bf16(float low, float high);
uint32_t pack_fp16(float low, float high);

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
