#pragma once
// What CUDA C++ has no word for, as functions: one PTX instruction each. A compiler that is not
// nvcc gets the same names from tests/kernels/simt, so every kernel here also runs on a CPU.
//
// Fragments, of lane 4g + t: A has rows g and g + 8, C and D rows g and g + 8 of columns 2t and
// 2t + 1, B column g. A register of A or B holds consecutive depths, from t times their number.

#if !defined(__CUDACC__)
#include <simt/ptx.h>
#else

#include <cstddef>
#include <cstdint>

namespace tq::kernels::cuda {

// The block's dynamic shared memory.
__device__ __forceinline__ std::byte* shared_memory() {
  extern __shared__ __align__(128) std::byte bytes[];
  return bytes;
}

// x, which to the compiler may be any number: what follows from it is computed anew, not kept.
__device__ __forceinline__ int forgotten(int x) {
  asm volatile("" : "+r"(x));
  return x;
}

// The compiler moves no instruction over this: what comes behind takes no registers before what
// stands in front has given its own back. An event that nobody counts.
__device__ __forceinline__ void hold_back() { asm volatile("pmevent 7;"); }

// A load of bytes that are read once: they pass the L1 cache by.
__device__ __forceinline__ uint4 load_once(const uint4* at) {
  uint4 v;
  asm("ld.global.nc.L1::no_allocate.v4.u32 {%0, %1, %2, %3}, [%4];"
      : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
      : "l"(at));
  return v;
}

// Byte i of the result is the byte of a (0-3) and b (4-7) that nibble i of the selector names; with
// the nibble's highest bit set, that byte's sign eight times, which __byte_perm() does not do.
__device__ __forceinline__ uint32_t permute_bytes(uint32_t a, uint32_t b, uint32_t selector) {
  uint32_t bytes;
  asm("prmt.b32 %0, %1, %2, %3;" : "=r"(bytes) : "r"(a), "r"(b), "r"(selector));
  return bytes;
}

__device__ __forceinline__ float widen_fp16(uint16_t bits) {
  float value;
  asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(bits));
  return value;
}

// 2^x with an error of 2 ulp; results below 2^-126 are 0.
__device__ __forceinline__ float exp2_fast(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

__device__ __forceinline__ uint32_t pack_bf16(float low, float high) {
  uint32_t packed;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(packed) : "f"(high), "f"(low));
  return packed;
}

__device__ __forceinline__ uint32_t pack_fp16(float low, float high) {
  uint32_t packed;
  asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(packed) : "f"(high), "f"(low));
  return packed;
}

// D[16][8] = A[16][32] B[32][8] + C in int8; a lane's depths 4t..4t+3 are a0, a1 and b0, those 16
// further on a2, a3 and b1.
__device__ __forceinline__ void mma_s8(
    int32_t (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1, const int32_t (&c)[4]) {
  asm("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
      "{%8, %9}, {%10, %11, %12, %13};"
      : "=r"(d[0]), "=r"(d[1]), "=r"(d[2]), "=r"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1), "r"(c[0]), "r"(c[1]),
        "r"(c[2]), "r"(c[3]));
}

// D[16][8] += A[16][16] B[16][8] in bf16, two depths to a register; the second pair 8 further on.
__device__ __forceinline__ void mma_bf16(float (&d)[4],
                                         const uint32_t (&a)[4],
                                         uint32_t b0,
                                         uint32_t b1) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
      "{%8, %9}, {%0, %1, %2, %3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// An 8x8 matrix of 16-bit entries, row g in lanes 4g..4g+3, is transposed.
__device__ __forceinline__ uint32_t transpose_8x8(uint32_t row) {
  uint32_t column;
  asm("movmatrix.sync.aligned.m8n8.trans.b16 %0, %1;" : "=r"(column) : "r"(row));
  return column;
}

}  // namespace tq::kernels::cuda

#endif
