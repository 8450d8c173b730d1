// Simd for AVX2 + FMA + F16C: eight 32-bit lanes. Included once, inside an ISA translation unit,
// with TQ_ISA_NAMESPACE defined; not a header for anyone else. See attention_body.h for what the
// names mean.

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

namespace tq::kernels::cpu::TQ_ISA_NAMESPACE {

struct Simd {
  static constexpr int kLanes = 8;
  static constexpr int kQueries = 4;  // most queries per pass: 2 x 4 accumulators of 16 registers
  static constexpr int kVectorsPerStep = 2;  // that one step of unpack() yields
  using F = __m256;
  using I = __m256i;

  static F zero() { return _mm256_setzero_ps(); }
  static F set1(float x) { return _mm256_set1_ps(x); }
  static F load(const float* p) { return _mm256_loadu_ps(p); }
  static void store(float* p, F x) { _mm256_storeu_ps(p, x); }
  static F add(F a, F b) { return _mm256_add_ps(a, b); }
  static F sub(F a, F b) { return _mm256_sub_ps(a, b); }
  static F mul(F a, F b) { return _mm256_mul_ps(a, b); }
  static F max(F a, F b) { return _mm256_max_ps(a, b); }
  static F fma(F a, F b, F c) { return _mm256_fmadd_ps(a, b, c); }
  static F abs(F x) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), x); }
  static F round(F x) { return _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }

  static float hmax(F x) {
    __m128 y = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    y = _mm_max_ps(y, _mm_movehl_ps(y, y));
    return _mm_cvtss_f32(_mm_max_ss(y, _mm_movehdup_ps(y)));
  }
  // Lane q: the largest of x[q].
  template <int kQ>
  static F hmax_each(const F (&x)[kQ]) {
    const F x1 = x[kQ > 1 ? 1 : 0], x2 = x[kQ > 2 ? 2 : 0], x3 = x[kQ > 3 ? 3 : 0];
    const F a = max(_mm256_unpacklo_ps(x[0], x1), _mm256_unpackhi_ps(x[0], x1));
    const F b = max(_mm256_unpacklo_ps(x2, x3), _mm256_unpackhi_ps(x2, x3));
    const F c = max(_mm256_shuffle_ps(a, b, _MM_SHUFFLE(1, 0, 1, 0)),
                    _mm256_shuffle_ps(a, b, _MM_SHUFFLE(3, 2, 3, 2)));
    return max(c, _mm256_permute2f128_ps(c, c, 1));
  }
  // kQueries floats, twice.
  static F load_queries(const float* p) {
    return _mm256_broadcast_ps(reinterpret_cast<const __m128*>(p));
  }
  static float hsum(F x) {
    __m128 y = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    y = _mm_add_ps(y, _mm_movehl_ps(y, y));
    return _mm_cvtss_f32(_mm_add_ss(y, _mm_movehdup_ps(y)));
  }

  // Lanes first, first + 1, ... below n keep x; the others become -infinity, whatever they held.
  static F keep_below(F x, int first, int n) {
    const I lane =
        _mm256_add_epi32(_mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7), _mm256_set1_epi32(first));
    const I keep = _mm256_cmpgt_epi32(_mm256_set1_epi32(n), lane);
    return _mm256_blendv_ps(_mm256_set1_ps(-__builtin_inff()), x, _mm256_castsi256_ps(keep));
  }
  // p * 2^n for integral n >= -126; 0 where x < -126.
  static F scale_pow2(F p, F n, F x) {
    const I exponent =
        _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23);
    const F keep = _mm256_cmp_ps(x, _mm256_set1_ps(-126.0f), _CMP_GE_OQ);
    return _mm256_and_ps(keep, _mm256_mul_ps(p, _mm256_castsi256_ps(exponent)));
  }

  static I zero_int() { return _mm256_setzero_si256(); }
  static I load_int(const void* p) { return _mm256_loadu_si256(static_cast<const __m256i*>(p)); }
  static void store_int(int32_t* p, I x) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), x); }
  static I set1_int(int32_t x) { return _mm256_set1_epi32(x); }
  static I add_int(I a, I b) { return _mm256_add_epi32(a, b); }
  static int32_t hsum_int(I x) {
    __m128i y = _mm_add_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
    y = _mm_add_epi32(y, _mm_shuffle_epi32(y, _MM_SHUFFLE(1, 0, 3, 2)));
    return _mm_cvtsi128_si32(_mm_add_epi32(y, _mm_shuffle_epi32(y, _MM_SHUFFLE(2, 3, 0, 1))));
  }
  template <int kQ>
  static void store_offsets(int32_t*, const I (&)[kQ]) {}  // levels have none
  static I to_int(F x) { return _mm256_cvtps_epi32(x); }
  static F to_float(I x) { return _mm256_cvtepi32_ps(x); }
  // sum + low halves' product + high halves' product, per lane. The barrier keeps GCC from adding
  // the products of several steps first, which needs more registers than there are and spills them.
  template <int kBits>
  static I dot(I sum, I levels, I coefficients) {
    sum = _mm256_add_epi32(sum, _mm256_madd_epi16(levels, coefficients));
    asm("" : "+x"(sum));
    return sum;
  }

  static F bf16_low(I x) { return _mm256_castsi256_ps(_mm256_slli_epi32(x, 16)); }
  static F bf16_high(I x) {
    return _mm256_castsi256_ps(
        _mm256_and_si256(x, _mm256_set1_epi32(static_cast<int>(0xffff0000))));
  }
  // Values of scale bytes over scale_unit(), as quant::ScaleFormat::value().
  template <int kBookBits>
  static F load_scales(const uint8_t* p) {
    constexpr int kKeep = 0x8000 | largest_scale(kBookBits) << 7;
    const __m128i upper = _mm_unpacklo_epi8(_mm_setzero_si128(),
                                            _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)));
    return _mm256_cvtph_ps(
        _mm_and_si128(_mm_srai_epi16(upper, 1), _mm_set1_epi16(static_cast<int16_t>(kKeep))));
  }
  // Logarithms of the largest size of each lane's scales, n rows of 32 without codebooks. Of a
  // byte's seven bits, a float of 4 and 3, an eighth is the logarithm but for 15 and at most
  // 0.0861.
  static F log2_scales(const uint8_t* p, int n) {
    __m128i largest = _mm_setzero_si128();
    for (int row = 0; row < n; ++row) {
      const auto* const at = reinterpret_cast<const __m128i*>(p + row * kTile);
      largest = _mm_max_epu8(largest, _mm_and_si128(_mm_loadl_epi64(at), _mm_set1_epi8(0x7f)));
    }
    return fma(to_float(_mm256_cvtepu8_epi32(largest)), set1(0.125f), set1(0.0861f - 15.0f));
  }
  // Their codebooks, in each byte of a lane above the place of a code: or-ed, an index of the
  // table.
  template <int kBits, int kBookBits>
  static I load_books(const uint8_t* p) {
    if constexpr (kBookBits == 0) return zero_int();
    const I spread = _mm256_setr_epi8(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5,
                                      5, 5, 5, 6, 6, 6, 6, 7, 7, 7, 7);
    const I scales = _mm256_shuffle_epi8(
        _mm256_broadcastq_epi64(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p))), spread);
    constexpr int kBooks = 0x7f & ~largest_scale(kBookBits);
    return _mm256_srli_epi32(_mm256_and_si256(scales, _mm256_set1_epi8(kBooks)),
                             7 - kBookBits - kBits);
  }
  // Inlined at once: GCC 12 drops calls of a function that does nothing but prefetch, as without
  // effect.
  [[gnu::always_inline]] static void prefetch(const void* p) {
    _mm_prefetch(static_cast<const char*>(p), _MM_HINT_T0);
  }

  // --- coefficients ---
  // Two int16 in a word, for the halves of a lane.
  static constexpr int word_entries(int) { return 2; }
  static constexpr int coefficient_max(int) { return 32767; }
  static constexpr int level_offset(int) { return 0; }
  // Of each query 32 integers, one per depth entry, in the order in which codes unpack. A word's
  // halves are entries 2 apart in each 4 (8 bits), 4 apart in each 8 (4 bits) or 8 apart in each 16
  // (2 and 3 bits).
  template <int kQ>
  static void pack_words(const I (&integers)[kQ][4], int bits, int32_t* words) {
    for (int q = 0; q < kQ; ++q) {
      pack_pairs(integers[q][0], integers[q][1], bits, words + 16 * q);
      pack_pairs(integers[q][2], integers[q][3], bits, words + 16 * q + 8);
    }
  }

  // --- codes -> int16 levels ---
  struct Table {
    I bytes;  // the levels of all codebooks, repeated to fill each half of 16
  };
  static Table make_table(const int8_t* levels, int bits, int book_bits) {
    const int n = 1 << (bits + book_bits);
    alignas(32) int32_t words[8];
    for (int i = 0; i < 8; ++i) __builtin_memcpy(words + i, levels + (4 * i & (n - 1)), 4);
    return {load_int(words)};
  }

  struct Packed {
    I low;
    I high;  // 3 bits only: the third bit of each code, at bit 2 of its byte
    I books;
  };
  // `words` points at the lane's first word of a unit. For 3 bits, a unit of 16 entries is half of
  // a group of 32: `half` 0 or 1, `words` at the group's word of high bits.
  template <int kBits, int kBookBits>
  static Packed load_packed(const uint32_t* words, int lanes, int half, I books) {
    if constexpr (kBits != 3) return {load_int(words), zero_int(), books};
    // Bytes of the low word hold entries 4k .. 4k + 3; bring the high bits of those to byte k's low
    // nibble.
    const I spread =
        half == 0 ? _mm256_setr_epi8(0, -1, 1, -1, 4, -1, 5, -1, 8, -1, 9, -1, 12, -1, 13, -1, 0,
                                     -1, 1, -1, 4, -1, 5, -1, 8, -1, 9, -1, 12, -1, 13, -1)
                  : _mm256_setr_epi8(2, -1, 3, -1, 6, -1, 7, -1, 10, -1, 11, -1, 14, -1, 15, -1, 2,
                                     -1, 3, -1, 6, -1, 7, -1, 10, -1, 11, -1, 14, -1, 15, -1);
    const I bytes = _mm256_shuffle_epi8(load_int(words), spread);
    const I nibbles = _mm256_and_si256(_mm256_or_si256(bytes, _mm256_slli_epi16(bytes, 4)),
                                       _mm256_set1_epi8(0x0f));
    return {load_int(words + (1 + half) * lanes), _mm256_slli_epi16(nibbles, 2), books};
  }
  // Level pairs of the next codes; steps come in their order. Of a word's n entries, step i yields
  // the pairs (i, i + n/2) and (i + n/4, i + 3n/4): the halves of a 32-bit lane are entries n/2
  // apart. At 8 bits codes are levels.
  template <int kBits, int kBookBits>
  static void unpack(Packed& packed,
                     int /*step*/,
                     const Table& table,
                     I (&pairs)[kVectorsPerStep]) {
    if constexpr (kBits == 8) return widen(packed.low, pairs);
    I codes;
    if constexpr (kBits == 3) {
      codes = _mm256_or_si256(_mm256_and_si256(packed.low, _mm256_set1_epi8(3)),
                              _mm256_and_si256(packed.high, _mm256_set1_epi8(4)));
      packed.low = _mm256_srli_epi32(packed.low, 2);
      packed.high = _mm256_srli_epi32(packed.high, 1);
    } else {
      codes = _mm256_and_si256(packed.low, _mm256_set1_epi8((1 << kBits) - 1));
      packed.low = _mm256_srli_epi32(packed.low, kBits);
    }
    if constexpr (kBookBits > 0) codes = _mm256_or_si256(codes, packed.books);
    widen(_mm256_shuffle_epi8(table.bytes, codes), pairs);
  }
  static void widen(I levels, I (&pairs)[kVectorsPerStep]) {
    pairs[0] = _mm256_srai_epi16(_mm256_slli_epi16(levels, 8), 8);
    pairs[1] = _mm256_srai_epi16(levels, 8);
  }
};

}  // namespace tq::kernels::cpu::TQ_ISA_NAMESPACE
