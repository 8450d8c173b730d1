// Simd for AVX-512 F, BW, VL, VNNI and VBMI: sixteen 32-bit lanes. Included once, inside an ISA
// translation unit, with TQ_ISA_NAMESPACE defined; not a header for anyone else. See
// attention_body.h for what the names mean. A test defines TQ_AVX512_EMULATED after including a
// software version of the same intrinsics.

#ifndef TQ_AVX512_EMULATED
#include <immintrin.h>
#endif

#include <cstddef>
#include <cstdint>

namespace tq::kernels::cpu::TQ_ISA_NAMESPACE {

struct Simd {
  static constexpr int kLanes = 16;
  static constexpr int kQueries = 8;         // 2 x 8 accumulators of 32 registers
  static constexpr int kVectorsPerStep = 1;  // that one step of unpack() yields
  using F = __m512;
  using I = __m512i;

  static F zero() { return _mm512_setzero_ps(); }
  static F set1(float x) { return _mm512_set1_ps(x); }
  static F load(const float* p) { return _mm512_loadu_ps(p); }
  static void store(float* p, F x) { _mm512_storeu_ps(p, x); }
  static F add(F a, F b) { return _mm512_add_ps(a, b); }
  static F sub(F a, F b) { return _mm512_sub_ps(a, b); }
  static F mul(F a, F b) { return _mm512_mul_ps(a, b); }
  static F max(F a, F b) { return _mm512_max_ps(a, b); }
  static F fma(F a, F b, F c) { return _mm512_fmadd_ps(a, b, c); }
  static F abs(F x) {
    return _mm512_castsi512_ps(
        _mm512_and_si512(_mm512_castps_si512(x), _mm512_set1_epi32(0x7fffffff)));
  }
  static F round(F x) {
    return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  }

  static __m256 low_half(F x) { return _mm512_castps512_ps256(x); }
  static __m256 high_half(F x) {
    return _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(x), 1));
  }
  // Lane q of the result: the lanes of x[q] folded by `op`.
  template <int kQ, class Op>
  static F fold_each(const F (&x)[kQ], Op op) {
    // Each quarter: what four lanes of each of four queries fold to.
    const F y = fold_four(x[0], x[kQ > 1 ? 1 : 0], x[kQ > 2 ? 2 : 0], x[kQ > 3 ? 3 : 0], op);
    F z = y;
    if constexpr (kQ > 4) {
      z = fold_four(x[4], x[kQ > 5 ? 5 : 4], x[kQ > 6 ? 6 : 4], x[kQ > 7 ? 7 : 4], op);
    }
    const F halves = op(_mm512_shuffle_f32x4(y, z, _MM_SHUFFLE(1, 0, 1, 0)),
                        _mm512_shuffle_f32x4(y, z, _MM_SHUFFLE(3, 2, 3, 2)));
    return op(_mm512_shuffle_f32x4(halves, halves, _MM_SHUFFLE(2, 0, 2, 0)),
              _mm512_shuffle_f32x4(halves, halves, _MM_SHUFFLE(3, 1, 3, 1)));
  }
  template <class Op>
  static F fold_four(F x0, F x1, F x2, F x3, Op op) {
    const F a = op(_mm512_unpacklo_ps(x0, x1), _mm512_unpackhi_ps(x0, x1));
    const F b = op(_mm512_unpacklo_ps(x2, x3), _mm512_unpackhi_ps(x2, x3));
    return op(_mm512_shuffle_ps(a, b, _MM_SHUFFLE(1, 0, 1, 0)),
              _mm512_shuffle_ps(a, b, _MM_SHUFFLE(3, 2, 3, 2)));
  }
  // kQueries floats, twice.
  static F load_queries(const float* p) {
    const F low = _mm512_castps256_ps512(_mm256_loadu_ps(p));
    return _mm512_shuffle_f32x4(low, low, _MM_SHUFFLE(1, 0, 1, 0));
  }
  static float hmax(F x) {
    const __m256 z = _mm256_max_ps(low_half(x), high_half(x));
    __m128 y = _mm_max_ps(_mm256_castps256_ps128(z), _mm256_extractf128_ps(z, 1));
    y = _mm_max_ps(y, _mm_movehl_ps(y, y));
    return _mm_cvtss_f32(_mm_max_ss(y, _mm_movehdup_ps(y)));
  }
  // Lane q: the largest of x[q].
  template <int kQ>
  static F hmax_each(const F (&x)[kQ]) {
    return fold_each(x, [](F a, F b) { return max(a, b); });
  }
  static float hsum(F x) {
    const __m256 z = _mm256_add_ps(low_half(x), high_half(x));
    __m128 y = _mm_add_ps(_mm256_castps256_ps128(z), _mm256_extractf128_ps(z, 1));
    y = _mm_add_ps(y, _mm_movehl_ps(y, y));
    return _mm_cvtss_f32(_mm_add_ss(y, _mm_movehdup_ps(y)));
  }

  // Lanes first, first + 1, ... below n keep x; the others become -infinity, whatever they held.
  static F keep_below(F x, int first, int n) {
    const int count = n - first;
    const auto keep = static_cast<__mmask16>(count >= 16  ? 0xffff
                                             : count <= 0 ? 0
                                                          : (1 << count) - 1);
    return _mm512_mask_mov_ps(_mm512_set1_ps(-__builtin_inff()), keep, x);
  }
  // p * 2^n for integral n >= -126; 0 where x < -126.
  static F scale_pow2(F p, F n, F x) {
    const __mmask16 keep = _mm512_cmp_ps_mask(x, _mm512_set1_ps(-126.0f), _CMP_GE_OQ);
    return _mm512_maskz_scalef_ps(keep, p, n);
  }

  static I zero_int() { return _mm512_setzero_si512(); }
  static I load_int(const void* p) { return _mm512_loadu_si512(p); }
  static void store_int(int32_t* p, I x) { _mm512_storeu_si512(p, x); }
  static I set1_int(int32_t x) { return _mm512_set1_epi32(x); }
  static I add_int(I a, I b) { return _mm512_add_epi32(a, b); }
  static int32_t hsum_int(I x) {
    const __m256i z = _mm256_add_epi32(_mm512_castsi512_si256(x), _mm512_extracti64x4_epi64(x, 1));
    __m128i y = _mm_add_epi32(_mm256_castsi256_si128(z), _mm256_extracti128_si256(z, 1));
    y = _mm_add_epi32(y, _mm_shuffle_epi32(y, _MM_SHUFFLE(1, 0, 3, 2)));
    return _mm_cvtsi128_si32(_mm_add_epi32(y, _mm_shuffle_epi32(y, _MM_SHUFFLE(2, 3, 0, 1))));
  }
  // offsets[q]: what sums start from whose coefficients are the lanes of x[q], added up.
  template <int kQ>
  static void store_offsets(int32_t* offsets, const I (&x)[kQ]) {
    F lanes[kQ];
    for (int q = 0; q < kQ; ++q) lanes[q] = _mm512_castsi512_ps(x[q]);
    const I sums = _mm512_castps_si512(fold_each(lanes, [](F a, F b) {
      return _mm512_castsi512_ps(add_int(_mm512_castps_si512(a), _mm512_castps_si512(b)));
    }));
    store_int(offsets, _mm512_sub_epi32(zero_int(), _mm512_slli_epi32(sums, 7)));
  }
  static I to_int(F x) { return _mm512_cvtps_epi32(x); }
  static F to_float(I x) { return _mm512_cvtepi32_ps(x); }
  // sum + the products of a lane's four bytes, or at 8 bits two halves.
  template <int kBits>
  static I dot(I sum, I levels, I coefficients) {
    if constexpr (kBits == 8) return _mm512_dpwssd_epi32(sum, levels, coefficients);
    return _mm512_dpbusd_epi32(sum, levels, coefficients);
  }

  static F bf16_low(I x) { return _mm512_castsi512_ps(_mm512_slli_epi32(x, 16)); }
  static F bf16_high(I x) {
    return _mm512_castsi512_ps(
        _mm512_and_si512(x, _mm512_set1_epi32(static_cast<int>(0xffff0000))));
  }
  // Values of scale bytes over scale_unit(), as quant::ScaleFormat::value(). With two bits for
  // codebooks there are 32 sizes: few enough to look up.
  template <int kBookBits>
  static F load_scales(const uint8_t* p) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    if constexpr (kBookBits == 2) {
      const I signs = _mm512_cvtepi8_epi32(bytes);
      const F size =
          _mm512_permutex2var_ps(load(kScaleSizes.floats), signs, load(kScaleSizes.floats + 16));
      return _mm512_castsi512_ps(_mm512_ternarylogic_epi32(_mm512_castps_si512(size), signs,
                                                           _mm512_set1_epi32(INT32_MIN), 0xd8));
    }
    constexpr int kKeep = 0x8000 | largest_scale(kBookBits) << 7;
    // Sign-extended and 7 up, a byte has its sign on top.
    const __m256i wide = _mm256_slli_epi16(_mm256_cvtepi8_epi16(bytes), 7);
    return _mm512_cvtph_ps(_mm256_and_si256(wide, _mm256_set1_epi16(static_cast<int16_t>(kKeep))));
  }
  struct ScaleSizes {
    alignas(64) float floats[32];
  };
  // Floats of two bits of exponent and three of mantissa.
  static constexpr ScaleSizes scale_sizes() {
    ScaleSizes sizes{};
    for (int i = 0; i < 32; ++i) {
      sizes.floats[i] = 0x1p-17f * static_cast<float>(i < 8 ? i : (8 + i % 8) << (i / 8 - 1));
    }
    return sizes;
  }
  static const ScaleSizes kScaleSizes;
  // Logarithms of the largest size of each lane's scales, n rows of 32 without codebooks. Of a
  // byte's seven bits, a float of 4 and 3, an eighth is the logarithm but for 15 and at most
  // 0.0861.
  static F log2_scales(const uint8_t* p, int n) {
    __m128i largest = _mm_setzero_si128();
    for (int row = 0; row < n; ++row) {
      const auto* const at = reinterpret_cast<const __m128i*>(p + row * kTile);
      largest = _mm_max_epu8(largest, _mm_and_si128(_mm_loadu_si128(at), _mm_set1_epi8(0x7f)));
    }
    return fma(to_float(_mm512_cvtepu8_epi32(largest)), set1(0.125f), set1(0.0861f - 15.0f));
  }
  static constexpr int64_t kOnes = 0x0101010101010101;  // in each byte
  // Their codebooks, where load_packed() takes them from in each byte of a lane; other bits are
  // anything.
  template <int /*kBits*/, int kBookBits>
  static I load_books(const uint8_t* p) {
    if constexpr (kBookBits == 0) return zero_int();
    const __m128i scales = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    if constexpr (kBookBits == 1) {  // several bits of it are wanted: all are the same
      constexpr int kBook = 0x7f & ~largest_scale(1);
      return _mm512_maskz_set1_epi32(_mm_test_epi8_mask(scales, _mm_set1_epi8(kBook)), -1);
    }
    // Of two lanes' first bytes, each of their eight takes its lane's, moved.
    constexpr int64_t kOffsets = 0x2020202000000000 + (7 - kBookBits - kBookAt) * kOnes;
    return _mm512_multishift_epi64_epi8(_mm512_set1_epi64(kOffsets), _mm512_cvtepi8_epi32(scales));
  }
  // Inlined at once: GCC 12 drops calls of a function that does nothing but prefetch, as without
  // effect.
  [[gnu::always_inline]] static void prefetch(const void* p) {
    _mm_prefetch(static_cast<const char*>(p), _MM_HINT_T0);
  }

  // --- coefficients ---
  // Four int8 in a word; at 8 bits, where a coefficient must be finer than the codes, two int16.
  static constexpr int word_entries(int bits) { return bits == 8 ? 2 : 4; }
  static constexpr int coefficient_max(int bits) { return bits == 8 ? 32767 : 127; }
  // vpdpbusd wants one side unsigned: levels are looked up so much too large.
  static constexpr int level_offset(int bits) { return bits == 8 ? 0 : 128; }
  // Of each query 32 integers, one per depth entry, in the order in which codes unpack. The bytes
  // of a word are entries 2 apart in each 8 (4 bits) or 4 apart in each 16 (2 and 3 bits); its
  // halves, at 8 bits, 2 apart in each 4. Writes whole vectors: an odd query's are followed by a
  // copy.
  template <int kQ>
  static void pack_words(const I (&integers)[kQ][2], int bits, int32_t* words) {
    if (bits == 8) {
      for (int i = 0; i < 2 * kQ; ++i) {
        const I x = integers[i / 2][i % 2];
        pack_pairs(_mm512_castsi512_si256(x), _mm512_extracti64x4_epi64(x, 1), bits, words + 8 * i);
      }
      return;
    }
    const I order = load_int(bits == 4 ? kOrder4.bytes : kOrder23.bytes);
    I pairs[kQ];
    for (int q = 0; q < kQ; ++q) pairs[q] = _mm512_packs_epi32(integers[q][0], integers[q][1]);
    for (int q = 0; q < kQ; q += 2) {
      const I bytes = _mm512_packs_epi16(pairs[q], pairs[q + 1 < kQ ? q + 1 : q]);
      store_int(words + 8 * q, _mm512_permutexvar_epi8(order, bytes));
    }
  }
  // For a byte permutation: of each byte of its result, the byte that it is.
  struct ByteOrder {
    alignas(64) uint8_t bytes[64];
  };
  // Where the bytes of two queries' words lie after packing: each quarter of a vector holds 4
  // entries of the first 16 and 4 of the others, of one query and then of the other.
  static constexpr ByteOrder pack_order(int apart) {
    ByteOrder order{};
    for (int i = 0; i < 64; ++i) {
      const int word = i % 32 / 4;
      const int entry = word / apart * 4 * apart + i % 4 * apart + word % apart;
      order.bytes[i] =
          static_cast<uint8_t>(entry % 16 / 4 * 16 + i / 32 * 8 + entry / 16 * 4 + entry % 4);
    }
    return order;
  }
  static const ByteOrder kOrder4;   // 4 bits
  static const ByteOrder kOrder23;  // 2 and 3 bits

  // --- codes -> levels in bytes ---
  // A byte permutation looks at six bits of an index, and a code with its codebook has two to four.
  // So there is not one index per code: the levels lie in several tables, each of which reads other
  // bits of the same index and repeats its levels over the rest. An index, from its first bit on:
  //   4 bits          code, anything
  //   2 bits          two codes, their codebook or, without one, anything
  //   3 bits, values  two codes without their third bits, then those
  //   3 bits, keys    one code without its third bit, and about it third bits and codebook: two
  //                   codes would be seven bits
  struct Table {
    I bytes[3];  // the levels' first, where a format needs fewer
  };
  // Where the level of each of a table's 64 indices lies among all, repeated. `places`: which bits
  // of an index are those of a level's number, codebook * 2^bits + code.
  template <size_t kN>
  static constexpr ByteOrder level_order(const int (&places)[kN]) {
    ByteOrder order{};
    for (int index = 0; index < 64; ++index) {
      int number = 0;
      for (size_t i = 0; i < kN; ++i) number |= (index >> places[i] & 1) << i;
      order.bytes[index] = static_cast<uint8_t>(number);
    }
    return order;
  }
  struct TableOrder {
    ByteOrder tables[3];
  };
  static const TableOrder kTable4, kTable3, kTable3Books, kTable2;
  static constexpr int kBookAt = 4;  // at 2 bits

  static Table make_table(const int8_t* levels, int bits, int book_bits) {
    const int n = 1 << (bits + book_bits);
    alignas(64) int32_t words[16];
    for (int i = 0; i < 16; ++i) __builtin_memcpy(words + i, levels + (4 * i & (n - 1)), 4);
    const I repeated = _mm512_xor_si512(load_int(words), _mm512_set1_epi8(-128));
    const TableOrder& order = bits == 4        ? kTable4
                              : bits == 2      ? kTable2
                              : book_bits == 0 ? kTable3
                                               : kTable3Books;
    Table table{};
    for (int t = 0; t < 3; ++t) {
      table.bytes[t] = _mm512_permutexvar_epi8(load_int(order.tables[t].bytes), repeated);
    }
    return table;
  }

  // `low`: indices, of two steps each or at 4 bits of one; of 3-bit keys their codes only; at 8
  // bits the word. `high`, of 3-bit keys: third bits in bits 3 to 6 of each byte, the codebook in
  // the others, and the same two bits lower.
  struct Packed {
    I low[2];
    I high[2];
  };
  // kMask ? a : b, bit by bit, the same in each byte. The instruction overwrites its first operand,
  // which should be one that nothing else needs.
  template <int kMask>
  static I choose(I a, I b) {
    return _mm512_ternarylogic_epi32(a, b, _mm512_set1_epi8(kMask), 0xe4);
  }
  // The third bits of the four codes of a low word's byte, from bit kTo of the byte on.
  template <int kTo>
  static I third_bits(const uint32_t* words, int half) {
    constexpr int64_t kFirst = 0x2c2824200c080400;  // of two lanes; taken modulo 64
    static constexpr int64_t kOffsets[2] = {kFirst + (64 - kTo) * kOnes,
                                            kFirst + (80 - kTo) * kOnes};
    return _mm512_multishift_epi64_epi8(_mm512_set1_epi64(kOffsets[half]), load_int(words));
  }
  // `words` points at the lane's first word of a unit. For 3 bits, a unit of 16 entries is half of
  // a group of 32: `half` 0 or 1, `words` at the group's word of high bits.
  template <int kBits, int kBookBits>
  static Packed load_packed(const uint32_t* words, int lanes, int half, I books) {
    const I word = load_int(kBits == 3 ? words + (1 + half) * lanes : words);
    if constexpr (kBits == 8) return {{word}, {}};
    Packed packed{{word, _mm512_srli_epi32(word, 4)}, {}};
    if constexpr (kBits == 3 && kBookBits == 0) {
      const I high = third_bits<4>(words, half);
      packed.low[0] = choose<0x0f>(packed.low[0], high);
      packed.low[1] = choose<0x0f>(packed.low[1], _mm512_srli_epi32(high, 2));
    } else if constexpr (kBits == 3) {
      packed.high[0] = choose<0x78>(third_bits<3>(words, half), books);
      packed.high[1] = _mm512_srli_epi32(packed.high[0], 2);
    } else if constexpr (kBookBits > 0) {
      for (I& low : packed.low) low = choose<0x0f>(low, books);
    }
    return packed;
  }
  // Levels, as bytes with their offset: of a word's n entries, step i yields entries i, i + n/4,
  // i + n/2 and i + 3n/4. At 8 bits codes are levels, and step i yields entries i and i + 2 as
  // int16.
  template <int kBits, int kBookBits>
  static void unpack(const Packed& packed,
                     int step,
                     const Table& table,
                     I (&levels)[kVectorsPerStep]) {
    if constexpr (kBits == 8) {
      const I word = packed.low[0];
      levels[0] = _mm512_srai_epi16(step == 0 ? _mm512_slli_epi16(word, 8) : word, 8);
    } else if constexpr (kBits == 4) {
      levels[0] = _mm512_permutexvar_epi8(packed.low[step], table.bytes[0]);
    } else if constexpr (kBits == 3 && kBookBits > 0) {
      const I low = packed.low[step / 2];
      const I index = step % 2 == 0 ? choose<0x03>(low, packed.high[0])
                                    : choose<0x0c>(low, packed.high[step / 2]);
      levels[0] = _mm512_permutexvar_epi8(index, table.bytes[step == 3 ? 1 : step]);
    } else {
      levels[0] = _mm512_permutexvar_epi8(packed.low[step / 2], table.bytes[step % 2]);
    }
  }
};

inline constexpr Simd::ScaleSizes Simd::kScaleSizes = Simd::scale_sizes();
inline constexpr Simd::ByteOrder Simd::kOrder4 = Simd::pack_order(2);
inline constexpr Simd::ByteOrder Simd::kOrder23 = Simd::pack_order(4);
inline constexpr Simd::TableOrder Simd::kTable4{{level_order({0, 1, 2, 3})}};
inline constexpr Simd::TableOrder Simd::kTable3{{level_order({0, 1, 4}), level_order({2, 3, 5})}};
// Of step 0, of steps 1 and 3, of step 2: see Packed.
inline constexpr Simd::TableOrder Simd::kTable3Books{
    {level_order({0, 1, 3, 2}), level_order({2, 3, 4, 0}), level_order({0, 1, 5, 2})}};
inline constexpr Simd::TableOrder Simd::kTable2{
    {level_order({0, 1, kBookAt, kBookAt + 1}), level_order({2, 3, kBookAt, kBookAt + 1})}};

}  // namespace tq::kernels::cpu::TQ_ISA_NAMESPACE
