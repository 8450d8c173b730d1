// Simd for NEON with dot products (Armv8.2): eight 32-bit lanes in two registers. Included once,
// inside an ISA translation unit, with TQ_ISA_NAMESPACE defined; not a header for anyone else. See
// attention_body.h for what the names mean.

#include <arm_neon.h>

#include <cstddef>
#include <cstdint>

namespace tq::kernels::cpu::TQ_ISA_NAMESPACE {

struct Simd {
  static constexpr int kLanes = 8;
  static constexpr int kQueries = 4;         // most queries per pass: 2 x 4 x 2 accumulators of 32
  static constexpr int kVectorsPerStep = 1;  // that one step of unpack() yields
  struct F {
    float32x4_t low, high;  // lanes 0 .. 3 and 4 .. 7
  };
  struct I {
    int32x4_t low, high;
  };

  static F zero() { return set1(0.0f); }
  static F set1(float x) { return {vdupq_n_f32(x), vdupq_n_f32(x)}; }
  static F load(const float* p) { return {vld1q_f32(p), vld1q_f32(p + 4)}; }
  static void store(float* p, F x) {
    vst1q_f32(p, x.low);
    vst1q_f32(p + 4, x.high);
  }
  static F add(F a, F b) { return {vaddq_f32(a.low, b.low), vaddq_f32(a.high, b.high)}; }
  static F sub(F a, F b) { return {vsubq_f32(a.low, b.low), vsubq_f32(a.high, b.high)}; }
  static F mul(F a, F b) { return {vmulq_f32(a.low, b.low), vmulq_f32(a.high, b.high)}; }
  static F max(F a, F b) { return {vmaxq_f32(a.low, b.low), vmaxq_f32(a.high, b.high)}; }
  static F fma(F a, F b, F c) {
    return {vfmaq_f32(c.low, a.low, b.low), vfmaq_f32(c.high, a.high, b.high)};
  }
  static F abs(F x) { return {vabsq_f32(x.low), vabsq_f32(x.high)}; }
  static F round(F x) { return {vrndnq_f32(x.low), vrndnq_f32(x.high)}; }  // to nearest even

  static float hmax(F x) { return vmaxvq_f32(vmaxq_f32(x.low, x.high)); }
  static float hsum(F x) { return vaddvq_f32(vaddq_f32(x.low, x.high)); }
  // Lane q: the largest of x[q].
  template <int kQ>
  static F hmax_each(const F (&x)[kQ]) {
    float32x4_t each[4];
    for (int q = 0; q < 4; ++q) {
      const F& of_query = x[q < kQ ? q : 0];
      each[q] = vmaxq_f32(of_query.low, of_query.high);
    }
    const float32x4_t largest =
        vpmaxq_f32(vpmaxq_f32(each[0], each[1]), vpmaxq_f32(each[2], each[3]));
    return {largest, largest};
  }
  // kQueries floats, twice.
  static F load_queries(const float* p) { return {vld1q_f32(p), vld1q_f32(p)}; }

  // Lanes first, first + 1, ... below n keep x; the others become -infinity, whatever they held.
  static F keep_below(F x, int first, int n) {
    constexpr int32_t kLane[4] = {0, 1, 2, 3};
    const int32x4_t lane = vld1q_s32(kLane);
    const float32x4_t none = vdupq_n_f32(-__builtin_inff());
    return {vbslq_f32(vcltq_s32(lane, vdupq_n_s32(n - first)), x.low, none),
            vbslq_f32(vcltq_s32(lane, vdupq_n_s32(n - first - 4)), x.high, none)};
  }
  // p * 2^n for integral n >= -126; 0 where x < -126.
  static F scale_pow2(F p, F n, F x) {
    return {scale_pow2(p.low, n.low, x.low), scale_pow2(p.high, n.high, x.high)};
  }
  static float32x4_t scale_pow2(float32x4_t p, float32x4_t n, float32x4_t x) {
    const int32x4_t exponent = vshlq_n_s32(vaddq_s32(vcvtq_s32_f32(n), vdupq_n_s32(127)), 23);
    const uint32x4_t keep = vcgeq_f32(x, vdupq_n_f32(-126.0f));
    const float32x4_t power = vmulq_f32(p, vreinterpretq_f32_s32(exponent));
    return vreinterpretq_f32_u32(vandq_u32(keep, vreinterpretq_u32_f32(power)));
  }

  static I zero_int() { return set1_int(0); }
  static I load_int(const void* p) {
    const auto* const at = static_cast<const int32_t*>(p);
    return {vld1q_s32(at), vld1q_s32(at + 4)};
  }
  static void store_int(int32_t* p, I x) {
    vst1q_s32(p, x.low);
    vst1q_s32(p + 4, x.high);
  }
  static I set1_int(int32_t x) { return {vdupq_n_s32(x), vdupq_n_s32(x)}; }
  static I add_int(I a, I b) { return {vaddq_s32(a.low, b.low), vaddq_s32(a.high, b.high)}; }
  static int32_t hsum_int(I x) { return vaddvq_s32(vaddq_s32(x.low, x.high)); }
  template <int kQ>
  static void store_offsets(int32_t*, const I (&)[kQ]) {}  // levels have none
  static I to_int(F x) { return {vcvtnq_s32_f32(x.low), vcvtnq_s32_f32(x.high)}; }
  static F to_float(I x) { return {vcvtq_f32_s32(x.low), vcvtq_f32_s32(x.high)}; }
  // sum + the products of a lane's four bytes, or at 8 bits those of two entries: see unpack().
  template <int kBits>
  static I dot(I sum, I levels, I coefficients) {
    if constexpr (kBits == 8) {
      const int16x4_t factors = vget_low_s16(vreinterpretq_s16_s32(coefficients.low));
      const int16x8_t first = halves(levels.low), second = halves(levels.high);
      sum.low = vmlal_lane_s16(sum.low, vget_low_s16(first), factors, 0);
      sum.high = vmlal_high_lane_s16(sum.high, first, factors, 0);
      sum.low = vmlal_lane_s16(sum.low, vget_low_s16(second), factors, 1);
      sum.high = vmlal_high_lane_s16(sum.high, second, factors, 1);
      return sum;
    }
    return {vdotq_s32(sum.low, bytes(levels.low), bytes(coefficients.low)),
            vdotq_s32(sum.high, bytes(levels.high), bytes(coefficients.high))};
  }

  static F bf16_low(I x) {
    return {vreinterpretq_f32_s32(vshlq_n_s32(x.low, 16)),
            vreinterpretq_f32_s32(vshlq_n_s32(x.high, 16))};
  }
  static F bf16_high(I x) {
    const int32x4_t upper = vdupq_n_s32(static_cast<int32_t>(0xffff0000));
    return {vreinterpretq_f32_s32(vandq_s32(x.low, upper)),
            vreinterpretq_f32_s32(vandq_s32(x.high, upper))};
  }
  // Values of scale bytes over scale_unit(), as quant::ScaleFormat::value().
  template <int kBookBits>
  static F load_scales(const uint8_t* p) {
    constexpr int kKeep = 0x8000 | largest_scale(kBookBits) << 7;
    // Sign-extended and 7 up, a byte has its sign on top.
    const int16x8_t wide = vandq_s16(vshll_n_s8(vreinterpret_s8_u8(vld1_u8(p)), 7),
                                     vdupq_n_s16(static_cast<int16_t>(kKeep)));
    const float16x8_t scales = vreinterpretq_f16_s16(wide);
    return {vcvt_f32_f16(vget_low_f16(scales)), vcvt_high_f32_f16(scales)};
  }
  // Logarithms of the largest size of each lane's scales, n rows of 32 without codebooks. Of a
  // byte's seven bits, a float of 4 and 3, an eighth is the logarithm but for 15 and at most
  // 0.0861.
  static F log2_scales(const uint8_t* p, int n) {
    uint8x8_t largest = vdup_n_u8(0);
    for (int row = 0; row < n; ++row) {
      largest = vmax_u8(largest, vand_u8(vld1_u8(p + row * kTile), vdup_n_u8(0x7f)));
    }
    const int16x8_t wide = vreinterpretq_s16_u16(vmovl_u8(largest));
    return fma(to_float({vmovl_s16(vget_low_s16(wide)), vmovl_high_s16(wide)}), set1(0.125f),
               set1(0.0861f - 15.0f));
  }
  // Their codebooks, in each byte of a lane above the place of a code: or-ed, an index of the
  // table.
  template <int kBits, int kBookBits>
  static I load_books(const uint8_t* p) {
    if constexpr (kBookBits == 0) {
      return zero_int();
    } else {
      constexpr uint8_t kSpread[32] = {0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3,
                                       4, 4, 4, 4, 5, 5, 5, 5, 6, 6, 6, 6, 7, 7, 7, 7};
      constexpr uint8_t kBooks = 0x7f & ~largest_scale(kBookBits);
      const uint8x16_t scales = vcombine_u8(vand_u8(vld1_u8(p), vdup_n_u8(kBooks)), vdup_n_u8(0));
      return {
          as_words(vshrq_n_u8(vqtbl1q_u8(scales, vld1q_u8(kSpread)), 7 - kBookBits - kBits)),
          as_words(vshrq_n_u8(vqtbl1q_u8(scales, vld1q_u8(kSpread + 16)), 7 - kBookBits - kBits))};
    }
  }
  [[gnu::always_inline]] static void prefetch(const void* p) { __builtin_prefetch(p); }

  // --- coefficients ---
  // Four int8 in a word; at 8 bits, where a coefficient must be finer than the codes, two int16.
  static constexpr int word_entries(int bits) { return bits == 8 ? 2 : 4; }
  static constexpr int coefficient_max(int bits) { return bits == 8 ? 32767 : 127; }
  static constexpr int level_offset(int) { return 0; }
  // Of each query 32 integers, one per depth entry, in the order in which codes unpack. The bytes
  // of a word are entries 2 apart in each 8 (4 bits) or 4 apart in each 16 (2 and 3 bits); its
  // halves, at 8 bits, 2 apart in each 4.
  template <int kQ>
  static void pack_words(const I (&integers)[kQ][4], int bits, int32_t* to) {
    constexpr uint8_t kOrder8[16] = {0, 1, 4, 5, 2, 3, 6, 7, 8, 9, 12, 13, 10, 11, 14, 15};
    constexpr uint8_t kOrder4[16] = {0, 2, 4, 6, 1, 3, 5, 7, 8, 10, 12, 14, 9, 11, 13, 15};
    constexpr uint8_t kOrder23[16] = {0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15};
    const uint8x16_t order = vld1q_u8(bits == 8 ? kOrder8 : bits == 4 ? kOrder4 : kOrder23);
    for (int q = 0; q < kQ; ++q) {
      for (int v = 0; v < 4; v += 2) {
        const uint8x16_t first = narrow(integers[q][v]);
        const uint8x16_t second = narrow(integers[q][v + 1]);
        if (bits == 8) {
          vst1q_s32(to, as_words(vqtbl1q_u8(first, order)));
          vst1q_s32(to + 4, as_words(vqtbl1q_u8(second, order)));
          to += 8;
        } else {  // the lower byte of each half
          vst1q_s32(to, as_words(vqtbl1q_u8(vuzp1q_u8(first, second), order)));
          to += 4;
        }
      }
    }
  }

  // --- codes -> int8 levels ---
  struct Table {
    I levels;  // of all codebooks, repeated to fill each half of 16 bytes
  };
  static Table make_table(const int8_t* levels, int bits, int book_bits) {
    const int n = 1 << (bits + book_bits);
    alignas(32) int32_t repeated[8];
    for (int i = 0; i < 8; ++i) __builtin_memcpy(repeated + i, levels + (4 * i & (n - 1)), 4);
    return {load_int(repeated)};
  }

  struct Packed {
    I low;
    I high;  // 3 bits only: the third bit of each code, at bit 2 of its byte
    I books;
  };
  // `words` points at the lane's first word of a unit. For 3 bits, a unit of 16 entries is half of
  // a group of 32: `half` 0 or 1, `words` at the group's word of high bits. At 8 bits, `low` is
  // sorted: entries 0 and 2 of each lane, then entries 1 and 3.
  template <int kBits, int kBookBits>
  static Packed load_packed(const uint32_t* words, int lanes, int half, I books) {
    if constexpr (kBits == 8) {
      const I x = load_int(words);
      return {{as_words(vuzp1q_u8(ubytes(x.low), ubytes(x.high))),
               as_words(vuzp2q_u8(ubytes(x.low), ubytes(x.high)))},
              zero_int(),
              books};
    } else if constexpr (kBits != 3) {
      return {load_int(words), zero_int(), books};
    } else {
      const I bits = load_int(words);
      return {load_int(words + (1 + half) * lanes),
              {third_bits(bits.low, half), third_bits(bits.high, half)},
              books};
    }
  }
  // Levels, as bytes, of the next codes; steps come in their order: of a word's n entries, step i
  // yields entries i, i + n/4, i + n/2 and i + 3n/4. At 8 bits codes are levels, and step i yields
  // entry i of all lanes as int16 in `low`, entry i + 2 in `high`.
  template <int kBits, int kBookBits>
  static void unpack(Packed& packed,
                     int /*step*/,
                     const Table& table,
                     I (&levels)[kVectorsPerStep]) {
    if constexpr (kBits == 8) {
      const int16x8_t pairs = halves(packed.low.low);
      levels[0] = {vreinterpretq_s32_s16(vshrq_n_s16(vshlq_n_s16(pairs, 8), 8)),
                   vreinterpretq_s32_s16(vshrq_n_s16(pairs, 8))};
      packed.low.low = packed.low.high;
    } else {
      levels[0] = {look_up<kBits, kBookBits>(packed.low.low, packed.high.low, table.levels.low,
                                             packed.books.low),
                   look_up<kBits, kBookBits>(packed.low.high, packed.high.high, table.levels.low,
                                             packed.books.high)};
    }
  }

 private:
  static int8x16_t bytes(int32x4_t x) { return vreinterpretq_s8_s32(x); }
  static uint8x16_t ubytes(int32x4_t x) { return vreinterpretq_u8_s32(x); }
  static int16x8_t halves(int32x4_t x) { return vreinterpretq_s16_s32(x); }
  static int32x4_t as_words(uint8x16_t x) { return vreinterpretq_s32_u8(x); }
  static uint8x16_t narrow(I x) {  // to int16
    return vreinterpretq_u8_s16(vmovn_high_s32(vmovn_s32(x.low), x.high));
  }

  // Bytes of the low word hold entries 4k .. 4k + 3 at 2 bits; bring the high bits of those to bit
  // 2 of byte k and above.
  static int32x4_t third_bits(int32x4_t bits, int half) {
    constexpr uint8_t kSpread[2][16] = {
        {0, 255, 1, 255, 4, 255, 5, 255, 8, 255, 9, 255, 12, 255, 13, 255},
        {2, 255, 3, 255, 6, 255, 7, 255, 10, 255, 11, 255, 14, 255, 15, 255}};
    const uint16x8_t spread =
        vreinterpretq_u16_u8(vqtbl1q_u8(ubytes(bits), vld1q_u8(kSpread[half])));
    const uint8x16_t nibbles = vreinterpretq_u8_u16(vorrq_u16(spread, vshlq_n_u16(spread, 4)));
    return as_words(vshlq_n_u8(vandq_u8(nibbles, vdupq_n_u8(0x0f)), 2));
  }

  template <int kBits, int kBookBits>
  static int32x4_t look_up(int32x4_t& low, int32x4_t& high, int32x4_t table, int32x4_t books) {
    uint8x16_t codes = vandq_u8(ubytes(low), vdupq_n_u8(kBits == 3 ? 3 : (1 << kBits) - 1));
    low = as_words(vshrq_n_u8(ubytes(low), kBits == 3 ? 2 : kBits));
    if constexpr (kBits == 3) {
      codes = vorrq_u8(codes, vandq_u8(ubytes(high), vdupq_n_u8(4)));
      high = as_words(vshrq_n_u8(ubytes(high), 1));
    }
    if constexpr (kBookBits > 0) codes = vorrq_u8(codes, ubytes(books));
    return as_words(vqtbl1q_u8(ubytes(table), codes));
  }
};

}  // namespace tq::kernels::cpu::TQ_ISA_NAMESPACE
