// rows_avx2::seal(): codes a hot tile as quant::RowCodec does, sixteen tokens at a time: 16-bit
// lanes hold coordinates in steps, products are summed in pairs of coordinates into 32-bit lanes.
// Integers are exact in any order, floats meet the same operations one by one, and nothing is
// contracted, so codes and scales are the same bits.

#include "kernels/cpu/rows_avx2.h"
#include "kernels/cpu/seal_coder.h"

namespace tq::kernels::cpu::rows_avx2 {
namespace {

constexpr int kLanes = 8;

// The tile's rows as floats, [head_dim][32 tokens], and then its codes.
struct Rows {
  alignas(32) float x[kHeadDimMax][kTile];
};
struct Codes {
  alignas(32) uint8_t x[kHeadDimMax][kTile];
};

void load_rows(const SealTile& tile, Rows& rows) {
  const auto* const words = reinterpret_cast<const uint32_t*>(tile.hot);
  if (tile.is_key) {  // a lane is a token, a word two coordinates
    for (int j = 0; j < tile.head_dim; j += 2) {
      for (int t = 0; t < kTile; t += kLanes) {
        const __m256i both =
            _mm256_loadu_si256(reinterpret_cast<const __m256i*>(words + j / 2 * kTile + t));
        _mm256_store_ps(rows.x[j] + t, _mm256_castsi256_ps(_mm256_slli_epi32(both, 16)));
        _mm256_store_ps(rows.x[j + 1] + t,
                        _mm256_castsi256_ps(_mm256_and_si256(
                            both, _mm256_set1_epi32(static_cast<int>(0xffff0000)))));
      }
    }
    return;
  }
  for (int t = 0; t < kTile; t += 2) {  // a lane is a coordinate, a word two tokens
    for (int j = 0; j < tile.head_dim; ++j) {
      const uint32_t both = words[t / 2 * tile.head_dim + j];
      const uint64_t pair =
          static_cast<uint64_t>(both << 16) | static_cast<uint64_t>(both & 0xffff0000u) << 32;
      __builtin_memcpy(rows.x[j] + t, &pair, sizeof pair);
    }
  }
}

__m256 magnitude(__m256 x) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), x); }

// The exponent that the tile shares, by which its rows are divided. False where a value is NaN or
// infinity: as integers, the bits of those are above all others.
bool share_exponent(const SealTile& tile, Rows& rows) {
  __m256i most = _mm256_setzero_si256();
  for (int j = 0; j < tile.head_dim; ++j) {
    for (int t = 0; t < kTile; t += kLanes) {
      most = _mm256_max_epi32(most, _mm256_castps_si256(magnitude(_mm256_load_ps(rows.x[j] + t))));
    }
  }
  alignas(32) int32_t bits[kLanes];
  _mm256_store_si256(reinterpret_cast<__m256i*>(bits), most);
  int32_t largest = 0;
  for (const int32_t b : bits) largest = b > largest ? b : largest;
  if (largest >= 0x7f800000) return false;
  constexpr int32_t kLeast = 27 << 23;  // 2^-100
  const int biased = (largest >> 23) + 1;
  const int exponent = largest < kLeast ? 0 : biased < 253 ? biased : 253;
  *tile.exponent = static_cast<uint8_t>(exponent);
  const __m256 inverse = _mm256_castsi256_ps(_mm256_set1_epi32(
      exponent == 0 ? 0 : static_cast<int>((254u - static_cast<unsigned>(exponent)) << 23)));
  for (int j = 0; j < tile.head_dim; ++j) {
    for (int t = 0; t < kTile; t += kLanes) {
      float* const at = rows.x[j] + t;
      _mm256_store_ps(at, _mm256_mul_ps(_mm256_load_ps(at), inverse));
    }
  }
  return true;
}

// Sixteen tokens as two vectors of floats or 32-bit integers: t .. t + 7, then t + 8 .. t + 15.
// Packed to 16 bits they lie as 0..3, 8..11, 4..7, 12..15.
struct Floats {
  __m256 low, high;
};
struct Ints {
  __m256i low, high;
};

Floats load(const float* p) { return {_mm256_load_ps(p), _mm256_load_ps(p + kLanes)}; }

// The value of a scale's magnitude, in 32-bit lanes.
__m256 scale_value(__m256i magnitude, int book_bits) {
  return _mm256_mul_ps(_mm256_castsi256_ps(_mm256_slli_epi32(magnitude, 20)),
                       _mm256_set1_ps(0x1p112f * scale_unit(book_bits)));
}
__m256 steps_per_unit(__m256 scale) {
  return _mm256_div_ps(_mm256_set1_ps(127.0f * kStepsPerLevel), scale);
}

// Coordinates in steps, packed.
__m256i to_steps(Floats x, Floats per_unit) {
  const __m256i packed =
      _mm256_packs_epi32(_mm256_cvtps_epi32(_mm256_mul_ps(x.low, per_unit.low)),
                         _mm256_cvtps_epi32(_mm256_mul_ps(x.high, per_unit.high)));
  return _mm256_max_epi16(_mm256_min_epi16(packed, _mm256_set1_epi16(kStepsMax)),
                          _mm256_set1_epi16(-kStepsMax));
}

// Squared errors of sixteen groups; a pair of coordinates at a time.
struct Errors {
  Ints sum{_mm256_setzero_si256(), _mm256_setzero_si256()};

  void add(const Coder& coder, __m256i first, __m256i second) {
    const __m256i d = _mm256_sub_epi16(coder.level_steps(coder.code(first)), first);
    const __m256i e = _mm256_sub_epi16(coder.level_steps(coder.code(second)), second);
    const __m256i low = _mm256_unpacklo_epi16(d, e);
    const __m256i high = _mm256_unpackhi_epi16(d, e);
    sum.low = _mm256_add_epi32(sum.low, _mm256_madd_epi16(low, low));
    sum.high = _mm256_add_epi32(sum.high, _mm256_madd_epi16(high, high));
  }
};

// The best scale so far of eight groups.
struct Best {
  __m256 least = _mm256_set1_ps(__builtin_inff());
  __m256i scale = _mm256_setzero_si256();

  void consider(__m256i error, __m256 value, __m256i byte) {
    const __m256 e = _mm256_mul_ps(_mm256_cvtepi32_ps(error), _mm256_mul_ps(value, value));
    const __m256 better = _mm256_cmp_ps(e, least, _CMP_LT_OQ);
    least = _mm256_blendv_ps(least, e, better);
    scale = _mm256_blendv_epi8(scale, byte, _mm256_castps_si256(better));
  }
};

// The magnitude at which eight groups start: the scale below `from` times their largest values,
// with `from` in units of the scale format.
__m256i first_scale(__m256 largest, float from, __m256i most) {
  const __m128i half =
      _mm256_cvtps_ph(_mm256_mul_ps(_mm256_set1_ps(from), largest), _MM_FROUND_TO_NEAREST_INT);
  const __m256i byte = _mm256_srli_epi32(_mm256_cvtepu16_epi32(half), 7);
  return _mm256_max_epi32(_mm256_min_epi32(byte, most), _mm256_set1_epi32(1));
}

// One group of sixteen tokens: coordinates [j, j + n), n even.
struct Group {
  const SealTile& tile;
  const Coder* coders;      // by book
  const float (*x)[kTile];  // of coordinate j and the first token
  int n;

  Floats largest() const {
    Floats most{_mm256_setzero_ps(), _mm256_setzero_ps()};
    for (int i = 0; i < n; ++i) {
      const Floats y = load(x[i]);
      most.low = _mm256_max_ps(most.low, magnitude(y.low));
      most.high = _mm256_max_ps(most.high, magnitude(y.high));
    }
    return most;
  }

  // Scale bytes; 0 where the group is tiny.
  Ints search() const {
    const float unit = scale_unit(tile.book_bits);
    const __m256i last = _mm256_set1_epi32(largest_scale(tile.book_bits));
    const Floats most = largest();
    const Ints first{first_scale(most.low, tile.search_from / unit, last),
                     first_scale(most.high, tile.search_from / unit, last)};
    Best low, high;
    for (int candidate = 0; candidate < tile.search_candidates; ++candidate) {
      const __m256i offset = _mm256_set1_epi32(candidate);
      const Ints size{_mm256_min_epi32(_mm256_add_epi32(first.low, offset), last),
                      _mm256_min_epi32(_mm256_add_epi32(first.high, offset), last)};
      const Floats value{scale_value(size.low, tile.book_bits),
                         scale_value(size.high, tile.book_bits)};
      const Floats per_unit{steps_per_unit(value.low), steps_per_unit(value.high)};
      alignas(32) __m256i steps[kValueGroup];
      for (int i = 0; i < n; ++i) steps[i] = to_steps(load(x[i]), per_unit);
      for (int book = 0; book < 1 << tile.book_bits; ++book) {
        Errors plus, minus;
        for (int i = 0; i < n; i += 2) {
          plus.add(coders[book], steps[i], steps[i + 1]);
          if (tile.bits == 8) continue;
          const __m256i zero = _mm256_setzero_si256();
          minus.add(coders[book], _mm256_sub_epi16(zero, steps[i]),
                    _mm256_sub_epi16(zero, steps[i + 1]));
        }
        const __m256i chosen = _mm256_set1_epi32(book << (7 - tile.book_bits));
        low.consider(plus.sum.low, value.low, _mm256_or_si256(size.low, chosen));
        high.consider(plus.sum.high, value.high, _mm256_or_si256(size.high, chosen));
        if (tile.bits == 8) continue;
        const __m256i mirrored = _mm256_or_si256(chosen, _mm256_set1_epi32(0x80));
        low.consider(minus.sum.low, value.low, _mm256_or_si256(size.low, mirrored));
        high.consider(minus.sum.high, value.high, _mm256_or_si256(size.high, mirrored));
      }
    }
    const auto unless_tiny = [unit](__m256i scale, __m256 size) {
      const __m256 tiny = _mm256_cmp_ps(size, _mm256_set1_ps(kTinyGroup * unit), _CMP_LT_OQ);
      return _mm256_andnot_si256(_mm256_castps_si256(tiny), scale);
    };
    return {unless_tiny(low.scale, most.low), unless_tiny(high.scale, most.high)};
  }

  // 16 codes of each coordinate, in bytes.
  void encode(Ints scale, uint8_t (*codes)[kTile]) const {
    const int last = largest_scale(tile.book_bits);
    const auto per_unit_of = [&](__m256i byte) {
      const __m256i size = _mm256_and_si256(byte, _mm256_set1_epi32(last));
      const __m256i sign = _mm256_slli_epi32(_mm256_and_si256(byte, _mm256_set1_epi32(0x80)), 24);
      return _mm256_xor_ps(steps_per_unit(scale_value(size, tile.book_bits)),
                           _mm256_castsi256_ps(sign));
    };
    const Floats per_unit{per_unit_of(scale.low), per_unit_of(scale.high)};
    const __m256i bytes = _mm256_packs_epi32(scale.low, scale.high);
    const __m256i none = _mm256_cmpeq_epi16(bytes, _mm256_setzero_si256());
    const __m256i book = _mm256_and_si256(bytes, _mm256_set1_epi16(0x7f & ~last));
    for (int i = 0; i < n; ++i) {
      const __m256i steps = to_steps(load(x[i]), per_unit);
      __m256i code = coders[0].code(steps);
      for (int b = 1; b < 1 << tile.book_bits; ++b) {
        const __m256i chosen = _mm256_set1_epi16(static_cast<int16_t>(b << (7 - tile.book_bits)));
        code = _mm256_blendv_epi8(code, coders[b].code(steps), _mm256_cmpeq_epi16(book, chosen));
      }
      code = _mm256_and_si256(_mm256_andnot_si256(none, code), _mm256_set1_epi16(0xff));
      const __m128i packed =
          _mm_packus_epi16(_mm256_castsi256_si128(code), _mm256_extracti128_si256(code, 1));
      _mm_store_si128(reinterpret_cast<__m128i*>(codes[i]),
                      _mm_shuffle_epi32(packed, _MM_SHUFFLE(3, 1, 2, 0)));
    }
  }
};

void store_scales(uint8_t* scales, Ints scale) {
  const __m256i words = _mm256_packus_epi32(scale.low, scale.high);
  const __m128i packed =
      _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(scales),
                   _mm_shuffle_epi32(packed, _MM_SHUFFLE(3, 1, 2, 0)));
}

// Codes of keys to their tile: words of eight lanes fill up along the depth; padding is zero.
void write_keys(const SealTile& tile, const Codes& codes) {
  auto* const words = reinterpret_cast<uint32_t*>(tile.sealed);
  const int width = tile.bits == 3 ? 2 : tile.bits;
  const int per_word = 32 / width;
  const int unit = tile.bits == 3 ? 32 : per_word;
  for (int t = 0; t < kTile; t += kLanes) {
    for (int from = 0; from < tile.head_dim; from += unit) {
      uint32_t* const at = words + from / unit * (tile.bits == 3 ? 3 : 1) * kTile + t;
      __m256i high = _mm256_setzero_si256();
      __m256i low[2] = {high, high};
      for (int i = 0; i < unit && from + i < tile.head_dim; ++i) {
        const __m256i code = _mm256_cvtepu8_epi32(
            _mm_loadl_epi64(reinterpret_cast<const __m128i*>(codes.x[from + i] + t)));
        const __m256i bits = _mm256_and_si256(code, _mm256_set1_epi32((1 << width) - 1));
        __m256i& word = low[i / per_word];
        word = _mm256_or_si256(word, _mm256_slli_epi32(bits, i % per_word * width));
        high = _mm256_or_si256(high, _mm256_slli_epi32(_mm256_srli_epi32(code, width), i));
      }
      if (tile.bits != 3) {
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(at), low[0]);
        continue;
      }
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(at), high);
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(at + kTile), low[0]);
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(at + 2 * kTile), low[1]);
    }
  }
}

// Eight codes in the bytes of x, to 8 * kWidth adjoining bits.
template <int kWidth>
uint32_t gather_bits(uint64_t x) {
  constexpr uint64_t kOnes = (1u << kWidth) - 1u;
  x &= kOnes * 0x0101010101010101ull;
  x = (x | x >> (8 - kWidth)) & (((1ull << 2 * kWidth) - 1) * 0x0001000100010001ull);
  x = (x | x >> (16 - 2 * kWidth)) & (((1ull << 4 * kWidth) - 1) * 0x0000000100000001ull);
  return static_cast<uint32_t>(x | x >> (32 - 4 * kWidth));
}

// Codes of values to their tile: lanes are coordinates, depth is the tokens.
void write_values(const SealTile& tile, const Codes& codes) {
  auto* const words = reinterpret_cast<uint32_t*>(tile.sealed);
  const int d = tile.head_dim;
  for (int j = 0; j < d; ++j) {
    uint64_t x[4];
    __builtin_memcpy(x, codes.x[j], sizeof x);
    if (tile.bits == 8) {
      for (int i = 0; i < 8; ++i) words[i * d + j] = static_cast<uint32_t>(x[i / 2] >> i % 2 * 32);
      continue;
    }
    if (tile.bits == 4) {
      for (int i = 0; i < 4; ++i) words[i * d + j] = gather_bits<4>(x[i]);
      continue;
    }
    uint32_t* const low = tile.bits == 3 ? words + d : words;
    for (int i = 0; i < 2; ++i) {
      low[i * d + j] = (gather_bits<2>(x[2 * i]) & 0xffffu) | gather_bits<2>(x[2 * i + 1]) << 16;
    }
    if (tile.bits != 3) continue;
    uint32_t high = 0;
    for (int i = 0; i < 4; ++i) high |= (gather_bits<1>(x[i] >> 2) & 0xffu) << 8 * i;
    words[j] = high;
  }
}

}  // namespace

bool seal(const SealTile& tile) {
  Rows rows;
  load_rows(tile, rows);
  if (!share_exponent(tile, rows)) return false;
  Coder coders[kBooksMax];
  for (int book = 0; book < 1 << tile.book_bits; ++book) coders[book] = Coder(tile, book);
  Codes codes;
  for (int t = 0; t < kTile; t += 2 * kLanes) {
    for (int j = 0; j < tile.head_dim; j += tile.group) {
      const int rest = tile.head_dim - j;
      const float(*const x)[kTile] = reinterpret_cast<const float(*)[kTile]>(rows.x[j] + t);
      const Group group{tile, coders, x, rest < tile.group ? rest : tile.group};
      const Ints scale = group.search();
      store_scales(tile.scales + j / tile.group * kTile + t, scale);
      group.encode(scale, reinterpret_cast<uint8_t(*)[kTile]>(codes.x[j] + t));
    }
  }
  tile.is_key ? write_keys(tile, codes) : write_values(tile, codes);
  return true;
}

}  // namespace tq::kernels::cpu::rows_avx2
