#pragma once
// AVX-512 in software, for the emulated kernels only: SIMDe under the intrinsics' own names, and
// the few that SIMDe 0.7.4 lacks. Needs AVX2 and F16C of an x86-64 machine.

#include "kernels/cpu/intrinsics_avx2.h"

#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx512.h>

// What SIMDe names only where the compiler does.
typedef simde__mmask16 __mmask16;
#undef _MM_FROUND_NO_EXC
#define _MM_FROUND_NO_EXC 0x08

// Where the compiler's headers have the real AVX-512 names, as inline functions that need the ISA,
// SIMDe's macros of the same names take precedence. The ones below have none.

static inline simde__m512 tq_emulated_cvtph_ps(__m256i halves) {
  simde__m512 result;
  alignas(64) float floats[16];
  _mm256_store_ps(floats, _mm256_cvtph_ps(_mm256_castsi256_si128(halves)));
  _mm256_store_ps(floats + 8, _mm256_cvtph_ps(_mm256_extracti128_si256(halves, 1)));
  result = simde_mm512_loadu_ps(floats);
  return result;
}
#undef _mm512_cvtph_ps
#define _mm512_cvtph_ps(halves) tq_emulated_cvtph_ps(halves)

static inline simde__m512i tq_emulated_cvtps_epi32(simde__m512 x) {
  alignas(64) float floats[16];
  alignas(64) int32_t integers[16];
  simde_mm512_storeu_ps(floats, x);
  for (int i = 0; i < 16; i += 8) {
    _mm256_store_si256(reinterpret_cast<__m256i*>(integers + i),
                       _mm256_cvtps_epi32(_mm256_load_ps(floats + i)));
  }
  return simde_mm512_loadu_si512(integers);
}
#undef _mm512_cvtps_epi32
#define _mm512_cvtps_epi32(x) tq_emulated_cvtps_epi32(x)

static inline simde__m512 tq_emulated_cvtepi32_ps(simde__m512i x) {
  alignas(64) float floats[16];
  alignas(64) int32_t integers[16];
  simde_mm512_storeu_si512(integers, x);
  for (int i = 0; i < 16; ++i) floats[i] = static_cast<float>(integers[i]);
  return simde_mm512_loadu_ps(floats);
}
#undef _mm512_cvtepi32_ps
#define _mm512_cvtepi32_ps(x) tq_emulated_cvtepi32_ps(x)

static inline simde__m512i tq_emulated_cvtepu8_epi32(__m128i x) {
  alignas(16) uint8_t bytes[16];
  alignas(64) int32_t integers[16];
  _mm_store_si128(reinterpret_cast<__m128i*>(bytes), x);
  for (int i = 0; i < 16; ++i) integers[i] = bytes[i];
  return simde_mm512_loadu_si512(integers);
}
#undef _mm512_cvtepu8_epi32
#define _mm512_cvtepu8_epi32(x) tq_emulated_cvtepu8_epi32(x)

static inline simde__m512i tq_emulated_cvtepi8_epi32(__m128i x) {
  alignas(16) int8_t bytes[16];
  alignas(64) int32_t integers[16];
  _mm_store_si128(reinterpret_cast<__m128i*>(bytes), x);
  for (int i = 0; i < 16; ++i) integers[i] = bytes[i];
  return simde_mm512_loadu_si512(integers);
}
#undef _mm512_cvtepi8_epi32
#define _mm512_cvtepi8_epi32(x) tq_emulated_cvtepi8_epi32(x)

static inline __m128i tq_emulated_cvtepi32_epi8(simde__m512i x) {
  alignas(64) int32_t integers[16];
  alignas(16) int8_t bytes[16];
  simde_mm512_storeu_si512(integers, x);
  for (int i = 0; i < 16; ++i) bytes[i] = static_cast<int8_t>(integers[i]);
  return _mm_load_si128(reinterpret_cast<const __m128i*>(bytes));
}
#undef _mm512_cvtepi32_epi8
#define _mm512_cvtepi32_epi8(x) tq_emulated_cvtepi32_epi8(x)

static inline simde__m512i tq_emulated_srai_epi32(simde__m512i x, unsigned int n) {
  alignas(64) int32_t integers[16];
  simde_mm512_storeu_si512(integers, x);
  for (int32_t& integer : integers) integer >>= n;
  return simde_mm512_loadu_si512(integers);
}
#undef _mm512_srai_epi32
#define _mm512_srai_epi32(x, n) tq_emulated_srai_epi32(x, n)

static inline float tq_emulated_reduce_add_ps(simde__m512 x) {  // of integers: exact in any order
  alignas(64) float floats[16];
  simde_mm512_storeu_ps(floats, x);
  float sum = 0.0f;
  for (const float value : floats) sum += value;
  return sum;
}
#undef _mm512_reduce_add_ps
#define _mm512_reduce_add_ps(x) tq_emulated_reduce_add_ps(x)

static inline int32_t tq_emulated_reduce_max_epi32(simde__m512i x) {
  alignas(64) int32_t integers[16];
  simde_mm512_storeu_si512(integers, x);
  int32_t most = integers[0];
  for (const int32_t integer : integers) most = integer > most ? integer : most;
  return most;
}
#undef _mm512_reduce_max_epi32
#define _mm512_reduce_max_epi32(x) tq_emulated_reduce_max_epi32(x)

static inline __m256i tq_emulated_cvtps_ph(simde__m512 x, int) {  // to the nearest
  alignas(64) float floats[16];
  simde_mm512_storeu_ps(floats, x);
  return _mm256_set_m128i(_mm256_cvtps_ph(_mm256_load_ps(floats + 8), 0),
                          _mm256_cvtps_ph(_mm256_load_ps(floats), 0));
}
#undef _mm512_cvtps_ph
#define _mm512_cvtps_ph(x, rounding) tq_emulated_cvtps_ph(x, rounding)

static inline simde__m512i tq_emulated_cvtepu16_epi32(__m256i x) {
  alignas(32) uint16_t halves[16];
  alignas(64) int32_t integers[16];
  _mm256_store_si256(reinterpret_cast<__m256i*>(halves), x);
  for (int i = 0; i < 16; ++i) integers[i] = halves[i];
  return simde_mm512_loadu_si512(integers);
}
#undef _mm512_cvtepu16_epi32
#define _mm512_cvtepu16_epi32(x) tq_emulated_cvtepu16_epi32(x)

static inline __m256i tq_emulated_cvtepi32_epi16(simde__m512i x) {
  alignas(64) int32_t integers[16];
  alignas(32) int16_t halves[16];
  simde_mm512_storeu_si512(integers, x);
  for (int i = 0; i < 16; ++i) halves[i] = static_cast<int16_t>(integers[i]);
  return _mm256_load_si256(reinterpret_cast<const __m256i*>(halves));
}
#undef _mm512_cvtepi32_epi16
#define _mm512_cvtepi32_epi16(x) tq_emulated_cvtepi32_epi16(x)

static inline uint32_t tq_emulated_cmpgt_epi16_mask(simde__m512i a, simde__m512i b) {
  alignas(64) int16_t x[32], y[32];
  simde_mm512_storeu_si512(x, a);
  simde_mm512_storeu_si512(y, b);
  uint32_t mask = 0;
  for (int i = 0; i < 32; ++i) mask |= static_cast<uint32_t>(x[i] > y[i]) << i;
  return mask;
}
#undef _mm512_cmpgt_epi16_mask
#define _mm512_cmpgt_epi16_mask(a, b) tq_emulated_cmpgt_epi16_mask(a, b)

static inline __mmask16 tq_emulated_test_epi8_mask(__m128i a, __m128i b) {
  const __m128i zeros = _mm_cmpeq_epi8(_mm_and_si128(a, b), _mm_setzero_si128());
  return static_cast<__mmask16>(~_mm_movemask_epi8(zeros));
}
#undef _mm_test_epi8_mask
#define _mm_test_epi8_mask(a, b) tq_emulated_test_epi8_mask(a, b)

#undef _mm512_madd_epi16  // SIMDe's alias is that of another function
#define _mm512_madd_epi16(a, b) simde_mm512_madd_epi16(a, b)

#undef _mm512_shuffle_f32x4
#define _mm512_shuffle_f32x4(a, b, order) \
  simde_mm512_castsi512_ps(               \
      simde_mm512_shuffle_i32x4(simde_mm512_castps_si512(a), simde_mm512_castps_si512(b), order))
