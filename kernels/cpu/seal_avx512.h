// seal() for AVX-512: codes a hot tile as quant::RowCodec does, to the same bits. A vector is
// sixteen tokens, of which each lane holds two coordinates as 16-bit integers in steps, so that
// squared errors add up by token. Integers are exact in any order, floats meet the scalar code's
// operations one by one. Included once, inside an ISA translation unit, after rows_avx512.h.

#include "kernels/cpu/isa_kernels.h"

namespace tq::kernels::cpu::TQ_ISA_NAMESPACE {
namespace seal_tile {

using rows::join_pairs;
using rows::kLanes;

inline __m512i set1_pair(int first, int second) {
  return _mm512_set1_epi32(first | static_cast<int32_t>(static_cast<uint32_t>(second) << 16));
}
inline __m512i min_max(__m512i x, int least, int most) {
  return _mm512_max_epi16(_mm512_min_epi16(x, _mm512_set1_epi16(static_cast<int16_t>(most))),
                          _mm512_set1_epi16(static_cast<int16_t>(least)));
}

// Two coordinates of sixteen tokens, in steps. Products stay within 16 bits before they are
// clamped: a scale is at least a quarter of its group's largest value.
inline __m512i to_steps(const float* first, const float* second, __m512 per_unit) {
  return min_max(join_pairs(_mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(first), per_unit)),
                            _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(second), per_unit))),
                 -kStepsMax, kStepsMax);
}

// A codebook's boundaries by cells of 128 steps, of which 32 lie around zero: no two boundaries
// share a cell, and none lies in the outermost (quant/row_codec.cpp). A cell has its own boundary,
// or else the nearest below, or else the first of all: it has the nearest level on either side.
struct Cells {
  alignas(64) int16_t boundary[32];
  alignas(64) int16_t half_gap[32];  // from the boundary to the levels next to it
  alignas(64) int16_t code[32];      // of the level below it

  // `sign` -1: the codebook's mirror image, whose codes mean nothing.
  void fill(const SealTile& tile, int book, int sign) {
    const int n_levels = 1 << tile.bits;
    const int8_t* const levels = tile.levels + book * n_levels;
    const auto level = [&](int k) { return sign * levels[sign > 0 ? k : n_levels - 1 - k]; };
    const auto boundary_at = [&](int k) { return kStepsPerLevel / 2 * (level(k) + level(k + 1)); };
    int k = 0;
    for (int cell = -16; cell < 16; ++cell) {
      while (k + 2 < n_levels && boundary_at(k + 1) < (cell + 1) * 128) ++k;
      boundary[cell & 31] = static_cast<int16_t>(boundary_at(k));
      half_gap[cell & 31] = static_cast<int16_t>(kStepsPerLevel / 2 * (level(k + 1) - level(k)));
      code[cell & 31] = static_cast<int16_t>(k);
    }
  }

  static __m512i of(__m512i steps) {
    return _mm512_srai_epi16(min_max(steps, -16 * 128, 16 * 128 - 1), 7);
  }
  // Distances to the nearest levels, negative between two.
  __m512i errors(__m512i steps, __m512i cells) const {
    const __m512i from_boundary = _mm512_abs_epi16(
        _mm512_sub_epi16(steps, _mm512_permutexvar_epi16(cells, _mm512_load_si512(boundary))));
    return _mm512_sub_epi16(from_boundary,
                            _mm512_permutexvar_epi16(cells, _mm512_load_si512(half_gap)));
  }
  __m512i codes(__m512i steps, __m512i cells) const {
    const __mmask32 above = _mm512_cmpgt_epi16_mask(
        steps, _mm512_permutexvar_epi16(cells, _mm512_load_si512(boundary)));
    const __m512i below = _mm512_permutexvar_epi16(cells, _mm512_load_si512(code));
    return _mm512_mask_add_epi16(below, above, below, _mm512_set1_epi16(1));
  }
};

// At 8 bits the levels are all integers of [-127, 127].
inline __m512i nearest_integers(__m512i steps) {
  const __m512i half = _mm512_set1_epi16(kStepsPerLevel / 2);
  return min_max(_mm512_srai_epi16(_mm512_add_epi16(steps, half), 4), -127, 127);
}

// Codebooks as the search tries them: book after book, each followed by its mirror image.
struct Books {
  Cells cells[2 * kBooksMax];

  explicit Books(const SealTile& tile) {
    if (tile.bits == 8) return;
    for (int book = 0; book < 1 << tile.book_bits; ++book) {
      cells[2 * book].fill(tile, book, 1);
      cells[2 * book + 1].fill(tile, book, -1);
    }
  }
};

// The tile's rows and codes. Lane l of half h is token 16 h + l of keys and 2 l + h of values,
// because a value's word holds two tokens.
struct Rows {
  alignas(64) float x[kHeadDimMax][2][kLanes];
  alignas(64) uint32_t codes[kHeadDimMax / 2][2][kLanes];  // of two coordinates, 16 bits each
};

inline __m512i low_as_floats(__m512i bf16) { return _mm512_slli_epi32(bf16, 16); }
inline __m512i high_as_floats(__m512i bf16) { return _mm512_and_si512(bf16, set1_pair(0, 0xffff)); }

inline void load_rows(const SealTile& tile, Rows& rows) {
  const auto* const words = reinterpret_cast<const uint32_t*>(tile.hot);
  if (tile.is_key) {  // a word is two coordinates, neighbours are tokens
    for (int j = 0; j < tile.head_dim; j += 2) {
      for (int half = 0; half < 2; ++half) {
        const __m512i both = _mm512_loadu_si512(words + j / 2 * kTile + half * kLanes);
        _mm512_store_si512(rows.x[j][half], low_as_floats(both));
        _mm512_store_si512(rows.x[j + 1][half], high_as_floats(both));
      }
    }
    return;
  }
  for (int j = 0; j < tile.head_dim; j += kLanes) {  // a word is two tokens, neighbours coordinates
    __m512i both[kLanes];
    for (int t = 0; t < kLanes; ++t) both[t] = _mm512_loadu_si512(words + t * tile.head_dim + j);
    rows::transpose(both);
    for (int i = 0; i < kLanes; ++i) {
      _mm512_store_si512(rows.x[j + i][0], low_as_floats(both[i]));
      _mm512_store_si512(rows.x[j + i][1], high_as_floats(both[i]));
    }
  }
}

// The exponent that the tile shares, by which its rows are divided. False where a value is NaN or
// infinity: as integers, the bits of those are above all others.
inline bool share_exponent(const SealTile& tile, Rows& rows) {
  float* const x = rows.x[0][0];
  const int size = tile.head_dim * kTile;
  __m512i most = _mm512_setzero_si512();
  for (int i = 0; i < size; i += kLanes) {
    most = _mm512_max_epi32(
        most, _mm512_and_si512(_mm512_load_si512(x + i), _mm512_set1_epi32(0x7fffffff)));
  }
  const int32_t largest = _mm512_reduce_max_epi32(most);
  if (largest >= 0x7f800000) return false;
  constexpr int32_t kLeast = 27 << 23;  // 2^-100
  const int biased = (largest >> 23) + 1;
  const int exponent = largest < kLeast ? 0 : biased < 253 ? biased : 253;
  *tile.exponent = static_cast<uint8_t>(exponent);
  const __m512 inverse =
      _mm512_castsi512_ps(_mm512_set1_epi32(exponent == 0 ? 0 : (254 - exponent) << 23));
  for (int i = 0; i < size; i += kLanes) {
    _mm512_storeu_ps(x + i, _mm512_mul_ps(_mm512_loadu_ps(x + i), inverse));
  }
  return true;
}

// The value of a scale's magnitude.
inline __m512 scale_value(__m512i magnitude, int book_bits) {
  return _mm512_mul_ps(_mm512_castsi512_ps(_mm512_slli_epi32(magnitude, 20)),
                       _mm512_set1_ps(0x1p112f * scale_unit(book_bits)));
}
inline __m512 steps_per_unit(__m512 scale) {
  return _mm512_div_ps(_mm512_set1_ps(127.0f * kStepsPerLevel), scale);
}

// Coordinates [from, from + n) of sixteen tokens, n even, which share a scale.
struct Group {
  const SealTile& tile;
  Rows& rows;
  int half;
  int from;
  int n;

  __m512i steps(int i, __m512 per_unit) const {
    return to_steps(rows.x[from + i][half], rows.x[from + i + 1][half], per_unit);
  }

  __m512 largest() const {
    __m512 most = _mm512_setzero_ps();
    for (int i = 0; i < n; ++i) {
      most = _mm512_max_ps(most, Simd::abs(_mm512_loadu_ps(rows.x[from + i][half])));
    }
    return most;
  }

  // The magnitude at which the search starts.
  __m512i first_scale(__m512 largest) const {
    const float unit = scale_unit(tile.book_bits);
    const __m256i halves = _mm512_cvtps_ph(
        _mm512_mul_ps(_mm512_set1_ps(tile.search_from / unit), largest), _MM_FROUND_TO_NEAREST_INT);
    const __m512i byte = _mm512_srli_epi32(_mm512_cvtepu16_epi32(halves), 7);
    const __m512i last = _mm512_set1_epi32(largest_scale(tile.book_bits));
    return _mm512_max_epi32(_mm512_min_epi32(byte, last), _mm512_set1_epi32(1));
  }

  // Squared errors by codebook; kBooks counts mirror images.
  template <int kBooks>
  void add_errors(__m512 per_unit, const Books& books, __m512i (&sums)[kBooks]) const {
    for (__m512i& sum : sums) sum = _mm512_setzero_si512();
    for (int i = 0; i < n; i += 2) {
      const __m512i x = steps(i, per_unit);
      if constexpr (kBooks == 1) {
        const __m512i error = _mm512_sub_epi16(_mm512_slli_epi16(nearest_integers(x), 4), x);
        sums[0] = _mm512_dpwssd_epi32(sums[0], error, error);
      } else {
        const __m512i cells = Cells::of(x);
        for (int b = 0; b < kBooks; ++b) {
          const __m512i error = books.cells[b].errors(x, cells);
          sums[b] = _mm512_dpwssd_epi32(sums[b], error, error);
        }
      }
    }
  }

  // Scale bytes; 0 where the group is tiny.
  template <int kBooks>
  __m512i search(const Books& books) const {
    const __m512 size = largest();
    const __m512i first = first_scale(size);
    const __m512i last = _mm512_set1_epi32(largest_scale(tile.book_bits));
    __m512 least = _mm512_set1_ps(__builtin_inff());
    __m512i best = _mm512_setzero_si512();
    for (int candidate = 0; candidate < tile.search_candidates; ++candidate) {
      const __m512i magnitude =
          _mm512_min_epi32(_mm512_add_epi32(first, _mm512_set1_epi32(candidate)), last);
      const __m512 value = scale_value(magnitude, tile.book_bits);
      const __m512 squared = _mm512_mul_ps(value, value);
      __m512i sums[kBooks];
      add_errors<kBooks>(steps_per_unit(value), books, sums);
      for (int b = 0; b < kBooks; ++b) {
        const __m512 error = _mm512_mul_ps(_mm512_cvtepi32_ps(sums[b]), squared);
        const __mmask16 better = _mm512_cmp_ps_mask(error, least, _CMP_LT_OQ);
        const int chosen = b / 2 << (7 - tile.book_bits) | b % 2 << 7;
        least = _mm512_mask_mov_ps(least, better, error);
        best = _mm512_mask_mov_epi32(best, better,
                                     _mm512_or_si512(magnitude, _mm512_set1_epi32(chosen)));
      }
    }
    const __mmask16 kept = _mm512_cmp_ps_mask(
        size, _mm512_set1_ps(kTinyGroup * scale_unit(tile.book_bits)), _CMP_GE_OQ);
    return _mm512_maskz_mov_epi32(kept, best);
  }

  __m512i search(const Books& books) const {
    if (tile.bits == 8) return search<1>(books);
    if (tile.book_bits == 0) return search<2>(books);
    if (tile.book_bits == 1) return search<4>(books);
    return search<8>(books);
  }

  void encode(__m512i scale, const Books& books) const {
    const int last = largest_scale(tile.book_bits);
    const __m512 magnitude =
        scale_value(_mm512_and_si512(scale, _mm512_set1_epi32(last)), tile.book_bits);
    const __m512i sign = _mm512_slli_epi32(_mm512_and_si512(scale, _mm512_set1_epi32(0x80)), 24);
    const __m512 per_unit =
        _mm512_castsi512_ps(_mm512_xor_si512(_mm512_castps_si512(steps_per_unit(magnitude)), sign));
    const __mmask16 kept = _mm512_test_epi32_mask(scale, scale);
    const __m512i book = _mm512_and_si512(scale, _mm512_set1_epi32(0x7f & ~last));
    for (int i = 0; i < n; i += 2) {
      const __m512i x = steps(i, per_unit);
      const __m512i cells = Cells::of(x);
      __m512i codes = tile.bits == 8 ? _mm512_and_si512(nearest_integers(x), set1_pair(0xff, 0xff))
                                     : books.cells[0].codes(x, cells);
      for (int b = 1; b < 1 << tile.book_bits; ++b) {
        const __mmask16 chosen =
            _mm512_cmpeq_epi32_mask(book, _mm512_set1_epi32(b << (7 - tile.book_bits)));
        codes = _mm512_mask_mov_epi32(codes, chosen, books.cells[2 * b].codes(x, cells));
      }
      _mm512_store_si512(rows.codes[(from + i) / 2][half], _mm512_maskz_mov_epi32(kept, codes));
    }
  }
};

inline void store_scales(const SealTile& tile, int group, const __m512i (&scale)[2]) {
  uint8_t* const to = tile.scales + group * kTile;
  if (tile.is_key) {
    for (int half = 0; half < 2; ++half) {
      _mm_storeu_si128(reinterpret_cast<__m128i*>(to + half * kLanes),
                       _mm512_cvtepi32_epi8(scale[half]));
    }
    return;
  }
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to),
                      _mm512_cvtepi16_epi8(join_pairs(scale[0], scale[1])));
}

// Bits [shift, shift + width) of 16-bit codes.
inline __m512i bits_of(__m512i codes, int shift, int width) {
  const int ones = (1 << width) - 1;
  return _mm512_and_si512(_mm512_srli_epi16(codes, static_cast<unsigned>(shift)),
                          set1_pair(ones, ones));
}

// Codes of keys to their tile: words of sixteen tokens fill up along the depth; padding is zero.
inline void write_keys(const SealTile& tile, const Rows& rows) {
  auto* const words = reinterpret_cast<uint32_t*>(tile.sealed);
  const int width = tile.bits == 3 ? 2 : tile.bits;
  const int per_word = 32 / width;
  const int n_words = tile.bits == 3 ? 3 : 1;  // with the third bits of 32 coordinates in front
  const int depth = tile.bits == 3 ? 32 : per_word;
  for (int half = 0; half < 2; ++half) {
    uint32_t* at = words + half * kLanes;
    for (int from = 0; from < tile.head_dim; from += depth) {
      __m512i word[3] = {};
      const auto add = [&](__m512i codes, int bits, int to, int at_bit) {
        const __m512i pairs = _mm512_madd_epi16(codes, set1_pair(1, 1 << bits));
        word[to] =
            _mm512_or_si512(word[to], _mm512_slli_epi32(pairs, static_cast<unsigned>(at_bit)));
      };
      for (int i = 0; i < depth && from + i < tile.head_dim; i += 2) {
        const __m512i codes = _mm512_load_si512(rows.codes[(from + i) / 2][half]);
        if (tile.bits == 3) add(bits_of(codes, 2, 1), 1, 0, i);
        add(bits_of(codes, 0, width), width, n_words / 3 + i / per_word, i % per_word * width);
      }
      for (int w = 0; w < n_words; ++w, at += kTile) _mm512_storeu_si512(at, word[w]);
    }
  }
}

// Joins pairs of bytes of `width` bits each; the upper half of the result is zero.
inline __m128i join_bytes(__m128i x, int width) {
  const __m128i joined =
      _mm_maddubs_epi16(x, _mm_set1_epi16(static_cast<int16_t>(1 | 1 << (8 + width))));
  return _mm_packus_epi16(joined, _mm_setzero_si128());
}

// 32 codes of `width` bits of one coordinate, joined: kWords words, `stride` apart. Of two tokens
// in each lane's low half, the first in the lower bits.
inline void write_column(__m512i pairs, int width, uint32_t* to, int stride) {
  alignas(16) uint32_t words[8];
  if (width == 8) {
    _mm256_store_si256(reinterpret_cast<__m256i*>(words), _mm512_cvtepi32_epi16(pairs));
  } else {
    __m128i bytes = _mm512_cvtepi32_epi8(pairs);
    for (int bits = 2 * width; bits < 8; bits *= 2) bytes = join_bytes(bytes, bits);
    _mm_store_si128(reinterpret_cast<__m128i*>(words), bytes);
  }
  for (int i = 0; i < width; ++i) to[i * stride] = words[i];
}

// Codes of values to their tile: neighbours are coordinates, words fill up along the tokens.
inline void write_values(const SealTile& tile, const Rows& rows) {
  auto* const words = reinterpret_cast<uint32_t*>(tile.sealed);
  const int d = tile.head_dim;
  const int width = tile.bits == 3 ? 2 : tile.bits;
  uint32_t* const low = tile.bits == 3 ? words + d : words;
  const auto write = [&](const __m512i(&codes)[2], int shift, int bits, uint32_t* to) {
    const __m512i second =
        _mm512_slli_epi16(bits_of(codes[1], shift, bits), static_cast<unsigned>(bits));
    const __m512i pairs = _mm512_or_si512(bits_of(codes[0], shift, bits), second);
    write_column(_mm512_and_si512(pairs, set1_pair(0xffff, 0)), bits, to, d);
    write_column(_mm512_srli_epi32(pairs, 16), bits, to + 1, d);
  };
  for (int j = 0; j < d; j += 2) {
    const __m512i codes[2] = {_mm512_load_si512(rows.codes[j / 2][0]),
                              _mm512_load_si512(rows.codes[j / 2][1])};
    write(codes, 0, width, low + j);
    if (tile.bits == 3) write(codes, 2, 1, words + j);
  }
}

}  // namespace seal_tile

bool seal(const SealTile& tile) {
  using namespace seal_tile;
  Rows rows;
  load_rows(tile, rows);
  if (!share_exponent(tile, rows)) return false;
  const Books books(tile);
  for (int j = 0; j < tile.head_dim; j += tile.group) {
    const int rest = tile.head_dim - j;
    __m512i scale[2];
    for (int half = 0; half < 2; ++half) {
      const Group group{tile, rows, half, j, rest < tile.group ? rest : tile.group};
      scale[half] = group.search(books);
      group.encode(scale[half], books);
    }
    store_scales(tile, j / tile.group, scale);
  }
  tile.is_key ? write_keys(tile, rows) : write_values(tile, rows);
  return true;
}

}  // namespace tq::kernels::cpu::TQ_ISA_NAMESPACE
