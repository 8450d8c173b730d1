#pragma once
// Coder: quant::RowCodec's codes of sixteen coordinates at a time. For seal_avx2.cpp alone, which
// is compiled with its flags; values live in 16-bit lanes.

#include <cstdint>

#include "kernels/cpu/intrinsics_avx2.h"
#include "kernels/cpu/isa_kernels.h"

namespace tq::kernels::cpu::rows_avx2 {

// Codes of 16 coordinates in steps, by one codebook. From 2 to 4 bits no two boundaries lie within
// a cell of 128 steps, so a look-up of the cell and one comparison find the code.
class Coder {
 public:
  Coder() = default;
  Coder(const SealTile& tile, int book) : bits_(tile.bits) {
    if (bits_ == 8) return;
    const int n_levels = 1 << bits_;
    const int16_t* const boundaries = tile.boundaries + book * (n_levels - 1);
    alignas(32) uint8_t base[2][32], edge[2][32];
    int code = 0;
    for (int cell = 0; cell < kCells; ++cell) {
      const int start = (cell - kCells / 2) * kCell;
      uint8_t within = kCell - 1;  // no coordinate lies above it
      const int base_code = code;
      if (code < n_levels - 1 && boundaries[code] < start + kCell) {
        within = static_cast<uint8_t>(boundaries[code] - start);
        ++code;
      }
      for (int half = 0; half < 2; ++half) {
        base[cell / 16][half * 16 + cell % 16] = static_cast<uint8_t>(base_code);
        edge[cell / 16][half * 16 + cell % 16] = within;
      }
    }
    alignas(32) int8_t levels[32];
    for (int i = 0; i < 32; ++i) levels[i] = tile.levels[book * n_levels + i % n_levels];
    for (int i = 0; i < 2; ++i) {
      base_[i] = _mm256_load_si256(reinterpret_cast<const __m256i*>(base[i]));
      edge_[i] = _mm256_load_si256(reinterpret_cast<const __m256i*>(edge[i]));
    }
    levels_ = _mm256_load_si256(reinterpret_cast<const __m256i*>(levels));
  }

  __m256i code(__m256i steps) const {
    if (bits_ == 8) {
      const __m256i level =
          _mm256_srai_epi16(_mm256_add_epi16(steps, _mm256_set1_epi16(kStepsPerLevel / 2)), 4);
      return _mm256_max_epi16(_mm256_min_epi16(level, _mm256_set1_epi16(127)),
                              _mm256_set1_epi16(-127));
    }
    const __m256i from_zero = _mm256_add_epi16(steps, _mm256_set1_epi16(kCells / 2 * kCell));
    const __m256i cell = _mm256_max_epi16(
        _mm256_min_epi16(_mm256_srai_epi16(from_zero, 7), _mm256_set1_epi16(kCells - 1)),
        _mm256_setzero_si256());
    const __m256i upper = _mm256_cmpgt_epi16(cell, _mm256_set1_epi16(15));
    // An index byte with its highest bit set looks up zero: the upper halves of the lanes.
    const __m256i index = _mm256_or_si256(cell, _mm256_set1_epi16(static_cast<int16_t>(0x8000)));
    const __m256i base = look_up(base_, index, upper);
    const __m256i edge = look_up(edge_, index, upper);
    const __m256i within = _mm256_and_si256(steps, _mm256_set1_epi16(kCell - 1));
    return _mm256_sub_epi16(base, _mm256_cmpgt_epi16(within, edge));
  }

  // Level of a code in steps.
  __m256i level_steps(__m256i code) const {
    if (bits_ == 8) return _mm256_slli_epi16(code, 4);
    const __m256i level = _mm256_shuffle_epi8(levels_, code);  // the upper byte is another level
    return _mm256_srai_epi16(_mm256_slli_epi16(level, 8), 4);
  }

 private:
  static constexpr int kCells = 32;
  static constexpr int kCell = 128;  // steps

  static __m256i look_up(const __m256i (&table)[2], __m256i index, __m256i upper) {
    return _mm256_blendv_epi8(_mm256_shuffle_epi8(table[0], index),
                              _mm256_shuffle_epi8(table[1], index), upper);
  }

  int bits_ = 8;
  __m256i base_[2] = {};  // unused at 8 bits, as the rest
  __m256i edge_[2] = {};
  __m256i levels_ = {};
};

}  // namespace tq::kernels::cpu::rows_avx2
