// Coefficients as words of two int16 or four int8, in the order in which codes unpack. AVX2
// instructions, which every ISA here has. Included once, inside an ISA translation unit, with
// TQ_ISA_NAMESPACE defined, before a simd_*.h.

#include <immintrin.h>

#include <cstdint>

namespace tq::kernels::cpu::TQ_ISA_NAMESPACE {

// 32 integers in [-32767, 32767], one per depth entry, to 16 pairs. A pair's halves are entries 2
// apart in each 4 (8-bit words), 4 apart in each 8 (4 bits) or 8 apart in each 16 (2 and 3 bits).
inline void pack_pairs(const int32_t* integers, int bits, int32_t* pairs) {
  for (int e = 0; e < 32; e += 16) {
    const auto* const in = reinterpret_cast<const __m256i*>(integers + e);
    const __m256i x = _mm256_loadu_si256(in);
    const __m256i y = _mm256_loadu_si256(in + 1);
    // Low halves and high halves of the 8 pairs.
    __m256i low = x, high = y;
    if (bits == 8) {
      low = _mm256_permute4x64_epi64(_mm256_unpacklo_epi64(x, y), _MM_SHUFFLE(3, 1, 2, 0));
      high = _mm256_permute4x64_epi64(_mm256_unpackhi_epi64(x, y), _MM_SHUFFLE(3, 1, 2, 0));
    } else if (bits == 4) {
      low = _mm256_permute2x128_si256(x, y, 0x20);
      high = _mm256_permute2x128_si256(x, y, 0x31);
    }
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(pairs + e / 2),
                        _mm256_blend_epi16(low, _mm256_slli_epi32(high, 16), 0xaa));
  }
}

// 32 integers in [-127, 127] to 8 words. The bytes of a word are entries 2 apart in each 8 (4 bits)
// or 4 apart in each 16 (2 and 3 bits): codes that lie in the same place of the bytes of a word.
inline void pack_quads(const int32_t* integers, int bits, int32_t* quads) {
  const auto* const in = reinterpret_cast<const __m256i*>(integers);
  const __m256i first = _mm256_packs_epi32(_mm256_loadu_si256(in), _mm256_loadu_si256(in + 1));
  const __m256i second = _mm256_packs_epi32(_mm256_loadu_si256(in + 2), _mm256_loadu_si256(in + 3));
  const __m256i bytes = _mm256_permutevar8x32_epi32(
      _mm256_packs_epi16(first, second), _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));  // ascending
  const __m128i order = bits == 4
                            ? _mm_setr_epi8(0, 2, 4, 6, 1, 3, 5, 7, 8, 10, 12, 14, 9, 11, 13, 15)
                            : _mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(quads),
                      _mm256_shuffle_epi8(bytes, _mm256_broadcastsi128_si256(order)));
}

}  // namespace tq::kernels::cpu::TQ_ISA_NAMESPACE
