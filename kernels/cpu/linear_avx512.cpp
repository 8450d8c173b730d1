#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "kernels/layer_kernels.h"

#define TQ_ISA avx512
#define TQ_VECTOR_BYTES 64
#include "kernels/cpu/linear_lanes.h"

namespace tq::kernels::avx512 {
constexpr int kRowsMax = 8;   // rows of a tile
constexpr int kSumsMax = 16;  // vectors of sums that fit the registers
struct Decode : PlainDecode {
  static Vec halves(const uint16_t* from) noexcept {
    return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
  }
  static Vec bytes(const int8_t* from) noexcept {
    return _mm512_cvtepi32_ps(
        _mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from))));
  }
  // A permutation ignores the index bits above the fourth, so nibbles need no mask.
  static Vec nibbles(Words words) noexcept {
    const __m512 table = _mm512_setr_ps(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    return _mm512_permutexvar_ps((__m512i)words, table);
  }
};
}  // namespace tq::kernels::avx512

#include "kernels/cpu/linear_body.h"
#include "kernels/cpu/row_body.h"
