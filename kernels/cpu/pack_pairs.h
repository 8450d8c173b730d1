// Coefficients as pairs of int16 in the order in which codes unpack. AVX2 instructions, which every
// ISA here has. Included once, inside an ISA translation unit, with TQ_ISA_NAMESPACE defined,
// before a simd_*.h.

#include <cstdint>

#include "kernels/cpu/intrinsics_avx2.h"

namespace tq::kernels::cpu::TQ_ISA_NAMESPACE {

// 16 integers in [-32767, 32767], x the first 8, to 8 pairs: see Simd::pack_words().
inline void pack_pairs(__m256i x, __m256i y, int bits, int32_t* pairs) {
  // Low halves and high halves of the pairs.
  __m256i low = x, high = y;
  if (bits == 8) {
    low = _mm256_permute4x64_epi64(_mm256_unpacklo_epi64(x, y), _MM_SHUFFLE(3, 1, 2, 0));
    high = _mm256_permute4x64_epi64(_mm256_unpackhi_epi64(x, y), _MM_SHUFFLE(3, 1, 2, 0));
  } else if (bits == 4) {
    low = _mm256_permute2x128_si256(x, y, 0x20);
    high = _mm256_permute2x128_si256(x, y, 0x31);
  }
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(pairs),
                      _mm256_blend_epi16(low, _mm256_slli_epi32(high, 16), 0xaa));
}

}  // namespace tq::kernels::cpu::TQ_ISA_NAMESPACE
