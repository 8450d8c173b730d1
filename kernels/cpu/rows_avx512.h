// rotate() and append() for AVX-512: bit for bit what rows_avx2 and StoreCodec do, with a row in
// registers from its first sign to its last. Included once, inside an ISA translation unit, after
// simd_avx512.h.

#include "kernels/cpu/isa_kernels.h"
#include "kernels/cpu/rows_avx2.h"

namespace tq::kernels::cpu::TQ_ISA_NAMESPACE {
namespace rows {

constexpr int kLanes = 16;

// Low halves of `first`, and behind each the low half of `second`.
inline __m512i join_pairs(__m512i first, __m512i second) {
  return _mm512_mask_mov_epi16(first, 0xaaaaaaaau, _mm512_slli_epi32(second, 16));
}

// Exchanges the numbers of lanes and vectors, bit after bit.
inline void transpose(__m512i (&x)[kLanes]) {
  const __m512i lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  for (int bit = 1; bit < kLanes; bit *= 2) {
    // Lanes whose bit is set come from the other vector, bit 4 of an index.
    const __mmask16 set = _mm512_test_epi32_mask(lane, _mm512_set1_epi32(bit));
    const __m512i low = _mm512_mask_add_epi32(lane, set, lane, _mm512_set1_epi32(kLanes - bit));
    const __m512i high = _mm512_add_epi32(low, _mm512_set1_epi32(bit));
    for (int i = 0; i < kLanes; ++i) {
      if ((i & bit) != 0) continue;
      const __m512i a = x[i];
      x[i] = _mm512_permutex2var_epi32(a, low, x[i + bit]);
      x[i + bit] = _mm512_permutex2var_epi32(a, high, x[i + bit]);
    }
  }
}

// Lanes whose bit is set: -1; the others: 1.
inline __m512 signs_of(int bit) {
  const __m512i lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  const __mmask16 set = _mm512_test_epi32_mask(lane, _mm512_set1_epi32(bit));
  return _mm512_mask_mov_ps(_mm512_set1_ps(1.0f), set, _mm512_set1_ps(-1.0f));
}
// A butterfly within a vector: x + partner, or partner - x. The product is exact.
inline __m512 add_partners(__m512 x, __m512 partner, __m512 signs) {
  return _mm512_fmadd_ps(x, signs, partner);
}

// Walsh-Hadamard in the order of quant/: distances 1, 2, 4, ...
template <int kVectors>
inline __attribute__((always_inline)) void walsh_hadamard(__m512 (&x)[kVectors]) {
  for (__m512& v : x) {
    v = add_partners(v, _mm512_shuffle_ps(v, v, 0xb1), signs_of(1));
    v = add_partners(v, _mm512_shuffle_ps(v, v, 0x4e), signs_of(2));
    v = add_partners(v, _mm512_shuffle_f32x4(v, v, 0xb1), signs_of(4));
    v = add_partners(v, _mm512_shuffle_f32x4(v, v, 0x4e), signs_of(8));
  }
  for (int half = 1; half < kVectors; half *= 2) {
    for (int i = 0; i < kVectors; ++i) {
      if ((i & half) != 0) continue;
      const __m512 a = x[i];
      x[i] = _mm512_add_ps(a, x[i + half]);
      x[i + half] = _mm512_sub_ps(a, x[i + half]);
    }
  }
}

template <int kVectors>
inline __attribute__((always_inline)) void multiply(__m512 (&x)[kVectors], const float* factors) {
  for (int i = 0; i < kVectors; ++i) {
    x[i] = _mm512_mul_ps(x[i], _mm512_loadu_ps(factors + i * kLanes));
  }
}

template <int kVectors>
void rotate_row(const RotationView& rotation, const float* from, float* to, bool inverse) {
  __m512 x[kVectors];
  for (int i = 0; i < kVectors; ++i) x[i] = _mm512_loadu_ps(from + i * kLanes);
  for (int round = 0; round < 2; ++round) {
    if (!inverse) multiply(x, rotation.signs[round]);
    walsh_hadamard(x);
    if (inverse) multiply(x, rotation.signs[1 - round]);
  }
  const __m512 unit = _mm512_set1_ps(1.0f / (kVectors * kLanes));  // a power of two: exact
  for (int i = 0; i < kVectors; ++i) _mm512_storeu_ps(to + i * kLanes, _mm512_mul_ps(x[i], unit));
}

inline void rotate_row(const RotationView& rotation, const float* from, float* to, bool inverse) {
  if (rotation.forward == nullptr) {
    if (rotation.dim == 64) return rotate_row<4>(rotation, from, to, inverse);
    if (rotation.dim == 128) return rotate_row<8>(rotation, from, to, inverse);
    if (rotation.dim == 256) return rotate_row<16>(rotation, from, to, inverse);
  }
  if (to != from) __builtin_memcpy(to, from, static_cast<size_t>(rotation.dim) * sizeof(float));
  rows_avx2::rotate(rotation, to, 1, inverse);
}

// Round to nearest even, as quant::float_to_bf16; the result in the low halves.
inline __m512i to_bf16(__m512 x) {
  const __m512i bits = _mm512_castps_si512(x);
  const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
  const __m512i rounded = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
  const __m512i quiet = _mm512_or_si512(bits, _mm512_set1_epi32(0x400000));
  const __mmask16 is_nan = _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);
  return _mm512_srli_epi32(_mm512_mask_mov_epi32(rounded, is_nan, quiet), 16);
}

// Up to sixteen tokens' rows, as bf16.
struct Tokens {
  alignas(64) uint32_t x[kLanes][kHeadDimMax];

  void load(const AppendRun& run, const float* from, int n) {
    alignas(64) float row[kHeadDimMax];
    for (int t = 0; t < n; ++t, from += run.token_stride) {
      const float* rotated = from;
      if (run.rotation != nullptr) {
        rotate_row(*run.rotation, from, row, false);
        rotated = row;
      }
      for (int j = 0; j < run.head_dim; j += kLanes) {
        _mm512_store_si512(x[t] + j, to_bf16(_mm512_loadu_ps(rotated + j)));
      }
    }
  }
};

// A key is one lane of its tile: words (2j, 2j + 1) lie 32 apart.
inline void append_keys(const Tokens& tokens, int n, int dim, uint32_t* tile, int slot) {
  if (n < kLanes) {
    for (int t = 0; t < n; ++t) {
      const uint32_t* const words = tokens.x[t];
      for (int j = 0; j < dim; j += 2)
        tile[j / 2 * kTile + slot + t] = words[j] | words[j + 1] << 16;
    }
    return;
  }
  for (int j = 0; j < dim; j += kLanes) {
    __m512i lanes[kLanes];
    for (int t = 0; t < kLanes; ++t) lanes[t] = _mm512_load_si512(tokens.x[t] + j);
    transpose(lanes);
    for (int i = 0; i < kLanes; i += 2) {
      _mm512_storeu_si512(tile + (j + i) / 2 * kTile + slot, join_pairs(lanes[i], lanes[i + 1]));
    }
  }
}

// A value is one half of the words of its pair. The first of a pair writes whole words, so that
// nothing stale is left in its partner's half.
inline void append_values(const Tokens& tokens, int n, int dim, uint32_t* tile, int slot) {
  for (int t = 0; t < n; ++t) {
    uint32_t* const words = tile + (slot + t) / 2 * dim;
    for (int j = 0; j < dim; j += kLanes) {
      const __m512i value = _mm512_load_si512(tokens.x[t] + j);
      const bool is_first = (slot + t) % 2 == 0;
      _mm512_storeu_si512(words + j,
                          is_first ? value : join_pairs(_mm512_loadu_si512(words + j), value));
    }
  }
}

}  // namespace rows

void rotate(const RotationView& rotation, float* rows_in_place, int n_rows, bool inverse) {
  for (int r = 0; r < n_rows; ++r) {
    float* const row = rows_in_place + r * rotation.dim;
    rows::rotate_row(rotation, row, row, inverse);
  }
}

void append(const AppendRun& run) {
  rows::Tokens tokens;
  for (int first = 0; first < run.n_tokens; first += rows::kLanes) {
    const int rest = run.n_tokens - first;
    const int n = rest < rows::kLanes ? rest : rows::kLanes;
    const size_t offset = static_cast<size_t>(first) * run.token_stride;
    tokens.load(run, run.k + offset, n);
    rows::append_keys(tokens, n, run.head_dim, reinterpret_cast<uint32_t*>(run.k_tile),
                      run.slot + first);
    tokens.load(run, run.v + offset, n);
    rows::append_values(tokens, n, run.head_dim, reinterpret_cast<uint32_t*>(run.v_tile),
                        run.slot + first);
  }
}

}  // namespace tq::kernels::cpu::TQ_ISA_NAMESPACE
