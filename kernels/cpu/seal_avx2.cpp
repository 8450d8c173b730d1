// rows_avx2::seal(): codes a hot tile, eight tokens at a time, with RowCodec's arithmetic: sums in
// double in the order of the coordinates, the comparison with the boundaries in float. A product of
// two floats is exact in double, and nothing is contracted, so codes and scales are the same bits.
#include <immintrin.h>

#include "kernels/cpu/rows_avx2.h"

namespace tq::kernels::cpu::rows_avx2 {
namespace {

constexpr int kLanes = 8;
constexpr double kFp16Max = 65504.0;

struct Doubles {  // of eight tokens
  __m256d low, high;
};

Doubles widen(__m256 x) {
  return {_mm256_cvtps_pd(_mm256_castps256_ps128(x)), _mm256_cvtps_pd(_mm256_extractf128_ps(x, 1))};
}
Doubles widen(__m256i x) {
  return {_mm256_cvtepi32_pd(_mm256_castsi256_si128(x)),
          _mm256_cvtepi32_pd(_mm256_extracti128_si256(x, 1))};
}
Doubles add(Doubles a, Doubles b) {
  return {_mm256_add_pd(a.low, b.low), _mm256_add_pd(a.high, b.high)};
}
Doubles mul(Doubles a, Doubles b) {
  return {_mm256_mul_pd(a.low, b.low), _mm256_mul_pd(a.high, b.high)};
}
__m256 narrow(Doubles x) {
  return _mm256_set_m128(_mm256_cvtpd_ps(x.high), _mm256_cvtpd_ps(x.low));
}
void store(double* p, Doubles x) {
  _mm256_storeu_pd(p, x.low);
  _mm256_storeu_pd(p + 4, x.high);
}
Doubles load(const double* p) { return {_mm256_loadu_pd(p), _mm256_loadu_pd(p + 4)}; }

// The tile's rows as floats, [head_dim][32 tokens].
struct Rows {
  alignas(32) float x[kHeadDimMax][kTile];
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

// What eight tokens' codes are divided by and add up to.
struct Sums {
  double norm[kLanes];
  double inverse[kLanes];
  double along[kLanes];         // <y / |y|, level>
  int32_t level_norm2[kLanes];  // |level|^2 <= 256 * 127^2
};

bool find_norms(const SealTile& tile, const Rows& rows, int t, Sums& sums) {
  Doubles norm2{_mm256_setzero_pd(), _mm256_setzero_pd()};
  for (int j = 0; j < tile.head_dim; ++j) {
    const Doubles x = widen(_mm256_load_ps(rows.x[j] + t));
    norm2 = add(norm2, mul(x, x));
  }
  const __m256d one = _mm256_set1_pd(1.0), zero = _mm256_setzero_pd();
  const auto invert = [&](__m256d norm) {
    return _mm256_and_pd(_mm256_div_pd(one, norm), _mm256_cmp_pd(norm, zero, _CMP_GT_OQ));
  };
  const Doubles norm{_mm256_sqrt_pd(norm2.low), _mm256_sqrt_pd(norm2.high)};
  store(sums.norm, norm);
  store(sums.inverse, {invert(norm.low), invert(norm.high)});
  for (const double n : sums.norm) {
    if (!(n - n == 0.0)) return false;
  }
  return true;
}

// Codes of coordinate j of eight tokens, in 32-bit lanes: how many boundaries lie below.
struct Coder {
  explicit Coder(const SealTile& tile) : n_boundaries((1 << tile.bits) - 1) {
    for (int i = 0; i < n_boundaries; ++i) boundaries[i] = _mm256_set1_ps(tile.boundaries[i]);
    alignas(32) int8_t bytes[32];
    for (int i = 0; i < 32; ++i) bytes[i] = tile.levels[i % (1 << tile.bits)];
    levels = _mm256_load_si256(reinterpret_cast<const __m256i*>(bytes));
  }
  __m256i code(__m256 t) const {
    __m256i n = _mm256_setzero_si256();
    for (int i = 0; i < n_boundaries; ++i) {
      n = _mm256_sub_epi32(n, _mm256_castps_si256(_mm256_cmp_ps(t, boundaries[i], _CMP_GT_OQ)));
    }
    return n;
  }
  __m256i level(__m256i codes) const {
    return _mm256_srai_epi32(_mm256_slli_epi32(_mm256_shuffle_epi8(levels, codes), 24), 24);
  }

  int n_boundaries;
  __m256 boundaries[15];
  __m256i levels;
};

// Codes of keys: words of the lanes t .. t + 7 fill up as j runs; padding stays zero.
struct KeyWriter {
  void put(const SealTile& tile, int t, int j, __m256i codes) {
    auto* const words = reinterpret_cast<uint32_t*>(tile.sealed);
    const int width = tile.bits == 4 ? 4 : 2;
    const int per_word = 32 / width;
    const __m256i low_bits = tile.bits == 3 ? _mm256_and_si256(codes, _mm256_set1_epi32(3)) : codes;
    low = _mm256_or_si256(low, _mm256_slli_epi32(low_bits, j % per_word * width));
    if (tile.bits == 3)
      high = _mm256_or_si256(high, _mm256_slli_epi32(_mm256_srli_epi32(codes, 2), j % 32));
    const int word = tile.bits == 3 ? j / 32 * 3 + 1 + j % 32 / 16 : j / per_word;
    if (j % per_word == per_word - 1) {
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(words + word * kTile + t), low);
      low = _mm256_setzero_si256();
    }
    if (tile.bits == 3 && j % 32 == 31) {
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(words + j / 32 * 3 * kTile + t), high);
      high = _mm256_setzero_si256();
    }
  }
  __m256i low = _mm256_setzero_si256();
  __m256i high = _mm256_setzero_si256();
};

// Eight codes in the bytes of x, to 8 * kWidth adjoining bits.
template <int kWidth>
uint32_t gather_bits(uint64_t x) {
  constexpr uint64_t kOnes = (1u << kWidth) - 1u;
  x &= kOnes * 0x0101010101010101ull;
  x = (x | x >> (8 - kWidth)) & (((1ull << 2 * kWidth) - 1) * 0x0001000100010001ull);
  x = (x | x >> (16 - 2 * kWidth)) & (((1ull << 4 * kWidth) - 1) * 0x0000000100000001ull);
  return static_cast<uint32_t>(x | x >> (32 - 4 * kWidth));
}

// Codes of values, [head_dim][32 tokens], to their tile: lanes are coordinates, depth is the
// tokens.
void write_values(const SealTile& tile, const uint8_t (*codes)[kTile]) {
  auto* const words = reinterpret_cast<uint32_t*>(tile.sealed);
  const int d = tile.head_dim;
  for (int j = 0; j < d; ++j) {
    uint64_t x[4];
    __builtin_memcpy(x, codes[j], sizeof x);
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

uint16_t scale_of(const SealTile& tile, const Sums& sums, int lane) {
  const double norm = sums.norm[lane];
  if (norm == 0.0) return 0;
  double scale = 0.0;
  switch (tile.scale_kind) {
    case ScaleKind::kPlain: scale = norm * tile.unit; break;
    case ScaleKind::kMatched:
      scale = norm / __builtin_sqrt(static_cast<double>(sums.level_norm2[lane]));
      break;
    case ScaleKind::kUnbiased: scale = norm / sums.along[lane]; break;
  }
  const auto value = static_cast<float>(scale < kFp16Max ? scale : kFp16Max);
  return static_cast<uint16_t>(_cvtss_sh(value, _MM_FROUND_TO_NEAREST_INT));
}

// Tokens t .. t + 7: codes to the key tile or to `value_codes`, and their scales.
bool seal_tokens(const SealTile& tile,
                 const Coder& coder,
                 const Rows& rows,
                 int t,
                 uint8_t (*value_codes)[kTile]) {
  Sums sums;
  if (!find_norms(tile, rows, t, sums)) return false;
  const Doubles inverse = load(sums.inverse);
  Doubles along{_mm256_setzero_pd(), _mm256_setzero_pd()};
  __m256i level_norm2 = _mm256_setzero_si256();
  KeyWriter keys;
  for (int j = 0; j < tile.head_dim; ++j) {
    const Doubles y = mul(widen(_mm256_load_ps(rows.x[j] + t)), inverse);
    const __m256i codes = coder.code(narrow(y));
    const __m256i level = coder.level(codes);
    along = add(along, mul(y, widen(level)));
    level_norm2 = _mm256_add_epi32(level_norm2, _mm256_mullo_epi32(level, level));
    if (tile.is_key) {
      keys.put(tile, t, j, codes);
    } else {
      const __m128i halves =
          _mm_packs_epi32(_mm256_castsi256_si128(codes), _mm256_extracti128_si256(codes, 1));
      _mm_storel_epi64(reinterpret_cast<__m128i*>(value_codes[j] + t),
                       _mm_packus_epi16(halves, halves));
    }
  }
  if (tile.is_key) {  // zeros to the end of a started group
    const int unit = tile.bits == 4 ? 8 : tile.bits == 2 ? 16 : 32;
    for (int j = tile.head_dim; j % unit != 0; ++j) keys.put(tile, t, j, _mm256_setzero_si256());
  }
  store(sums.along, along);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(sums.level_norm2), level_norm2);
  for (int lane = 0; lane < kLanes; ++lane) tile.scales[t + lane] = scale_of(tile, sums, lane);
  return true;
}

}  // namespace

bool seal(const SealTile& tile) {
  Rows rows;
  load_rows(tile, rows);
  const Coder coder(tile);
  alignas(32) uint8_t value_codes[kHeadDimMax][kTile];
  for (int t = 0; t < kTile; t += kLanes) {
    if (!seal_tokens(tile, coder, rows, t, value_codes)) return false;
  }
  if (!tile.is_key) write_values(tile, value_codes);
  return true;
}

}  // namespace tq::kernels::cpu::rows_avx2
