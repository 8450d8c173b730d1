#include "kernels/cpu/rows_avx2.h"

#include "kernels/cpu/intrinsics_avx2.h"

namespace tq::kernels::cpu::rows_avx2 {
namespace {

constexpr int kLanes = 8;

// Butterflies of distance 1, 2 and 4 inside a vector: a lane whose bit is clear gets x + partner,
// the other partner - x, which is the same addition with x negated.
__m256 butterflies_in_vector(__m256 x) {
  const __m256 negate1 = _mm256_setr_ps(0.f, -0.f, 0.f, -0.f, 0.f, -0.f, 0.f, -0.f);
  const __m256 negate2 = _mm256_setr_ps(0.f, 0.f, -0.f, -0.f, 0.f, 0.f, -0.f, -0.f);
  const __m256 negate4 = _mm256_setr_ps(0.f, 0.f, 0.f, 0.f, -0.f, -0.f, -0.f, -0.f);
  x = _mm256_add_ps(_mm256_xor_ps(x, negate1), _mm256_permute_ps(x, 0xb1));
  x = _mm256_add_ps(_mm256_xor_ps(x, negate2), _mm256_permute_ps(x, 0x4e));
  return _mm256_add_ps(_mm256_xor_ps(x, negate4), _mm256_permute2f128_ps(x, x, 1));
}

// Walsh-Hadamard in the order of quant/: distances 1, 2, 4, ...
void walsh_hadamard(float* row, int dim) {
  for (int j = 0; j < dim; j += kLanes) {
    _mm256_storeu_ps(row + j, butterflies_in_vector(_mm256_loadu_ps(row + j)));
  }
  for (int half = kLanes; half < dim; half *= 2) {
    for (int start = 0; start < dim; start += 2 * half) {
      for (int j = start; j < start + half; j += kLanes) {
        const __m256 a = _mm256_loadu_ps(row + j);
        const __m256 b = _mm256_loadu_ps(row + j + half);
        _mm256_storeu_ps(row + j, _mm256_add_ps(a, b));
        _mm256_storeu_ps(row + j + half, _mm256_sub_ps(a, b));
      }
    }
  }
}

void multiply(float* row, const float* factors, int dim) {
  for (int j = 0; j < dim; j += kLanes) {
    _mm256_storeu_ps(row + j,
                     _mm256_mul_ps(_mm256_loadu_ps(row + j), _mm256_loadu_ps(factors + j)));
  }
}

void multiply(float* row, float factor, int dim) {
  for (int j = 0; j < dim; j += kLanes) {
    _mm256_storeu_ps(row + j, _mm256_mul_ps(_mm256_loadu_ps(row + j), _mm256_set1_ps(factor)));
  }
}

// kV vectors of the outputs from `from`: every output adds its terms in the order of i, product by
// product.
template <int kV>
void multiply_columns(const float* matrix, const float* row, float* out, int dim, int from) {
  __m256 sum[kV];
  for (__m256& x : sum) x = _mm256_setzero_ps();
  for (int i = 0; i < dim; ++i) {
    const __m256 factor = _mm256_set1_ps(row[i]);
    const float* const line = matrix + i * dim + from;
    for (int v = 0; v < kV; ++v) {
      sum[v] = _mm256_add_ps(sum[v], _mm256_mul_ps(_mm256_loadu_ps(line + v * kLanes), factor));
    }
  }
  for (int v = 0; v < kV; ++v) _mm256_storeu_ps(out + from + v * kLanes, sum[v]);
}

void multiply_matrix(const float* matrix, float* row, int dim) {
  alignas(32) float out[kHeadDimMax];
  int from = 0;
  for (; from + 8 * kLanes <= dim; from += 8 * kLanes)
    multiply_columns<8>(matrix, row, out, dim, from);
  for (; from + 2 * kLanes <= dim; from += 2 * kLanes)
    multiply_columns<2>(matrix, row, out, dim, from);
  for (int j = 0; j < dim; j += kLanes) _mm256_storeu_ps(row + j, _mm256_loadu_ps(out + j));
}

// Round to nearest even, as quant::float_to_bf16; the result in the low halves.
__m256i to_bf16(__m256 x) {
  const __m256i bits = _mm256_castps_si256(x);
  const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
  const __m256i rounded = _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
  const __m256i quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x400000));
  const __m256i is_nan = _mm256_castps_si256(_mm256_cmp_ps(x, x, _CMP_UNORD_Q));
  return _mm256_srli_epi32(_mm256_blendv_epi8(rounded, quiet, is_nan), 16);
}

void load_row(const AppendRun& run, const float* from, float* row) {
  for (int j = 0; j < run.head_dim; j += kLanes)
    _mm256_storeu_ps(row + j, _mm256_loadu_ps(from + j));
  if (run.rotation != nullptr) rotate(*run.rotation, row, 1, false);
}

// A key is one lane of its tile: words (2j, 2j + 1) lie 32 apart.
void append_key(uint32_t* tile, int slot, const float* row, int dim) {
  alignas(32) uint32_t words[kHeadDimMax];
  for (int j = 0; j < dim; j += kLanes) {
    _mm256_store_si256(reinterpret_cast<__m256i*>(words + j), to_bf16(_mm256_loadu_ps(row + j)));
  }
  for (int j = 0; j < dim; j += 2) tile[j / 2 * kTile + slot] = words[j] | words[j + 1] << 16;
}

// A value is one half of the words of its pair. The first of a pair writes whole words, so that
// nothing stale is left in its partner's half.
void append_value(uint32_t* tile, int slot, const float* row, int dim) {
  uint32_t* const words = tile + slot / 2 * dim;
  for (int j = 0; j < dim; j += kLanes) {
    auto* const at = reinterpret_cast<__m256i*>(words + j);
    const __m256i value = to_bf16(_mm256_loadu_ps(row + j));
    if (slot % 2 == 0) {
      _mm256_storeu_si256(at, value);
    } else {
      _mm256_storeu_si256(
          at, _mm256_blend_epi16(_mm256_loadu_si256(at), _mm256_slli_epi32(value, 16), 0xaa));
    }
  }
}

}  // namespace

void rotate(const RotationView& rotation, float* rows, int n_rows, bool inverse) {
  const int dim = rotation.dim;
  for (int r = 0; r < n_rows; ++r) {
    float* const row = rows + r * dim;
    if (rotation.forward != nullptr) {
      multiply_matrix(inverse ? rotation.inverse : rotation.forward, row, dim);
      continue;
    }
    for (int round = 0; round < 2; ++round) {
      if (!inverse) multiply(row, rotation.signs[round], dim);
      walsh_hadamard(row, dim);
      if (inverse) multiply(row, rotation.signs[1 - round], dim);
    }
    multiply(row, 1.0f / static_cast<float>(dim), dim);  // a power of two: exact
  }
}

void append(const AppendRun& run) {
  alignas(32) float row[kHeadDimMax];
  for (int token = 0; token < run.n_tokens; ++token) {
    const size_t offset = static_cast<size_t>(token) * run.token_stride;
    load_row(run, run.k + offset, row);
    append_key(reinterpret_cast<uint32_t*>(run.k_tile), run.slot + token, row, run.head_dim);
    load_row(run, run.v + offset, row);
    append_value(reinterpret_cast<uint32_t*>(run.v_tile), run.slot + token, row, run.head_dim);
  }
}

}  // namespace tq::kernels::cpu::rows_avx2
