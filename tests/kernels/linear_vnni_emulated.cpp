// The same source as the real AVX-512 and AMX kernels of linear layers, over software intrinsics.
#include <cstdint>

#include "tests/kernels/simde_avx512.h"

#define TQ_AVX512_EMULATED 1
#define TQ_ISA avx512_vnni_emulated

namespace tq::kernels::TQ_ISA {

struct Tiles {
  static void begin(int64_t n_rows) noexcept {
    const int first = static_cast<int>(n_rows < 16 ? n_rows : 16);
    const int others = static_cast<int>(n_rows > 16 ? n_rows - 16 : 1);
    for (const int tile : {0, 1, 4}) rows[tile] = first;
    for (const int tile : {2, 3, 5}) rows[tile] = others;
    for (const int tile : {6, 7}) rows[tile] = 16;
  }
  static void end() noexcept {}
  template <int kTile>
  static void zero() noexcept {
    __builtin_memset(tiles[kTile], 0, sizeof tiles[kTile]);
  }
  template <int kTile>
  static void load(const void* from, size_t stride) noexcept {
    for (int row = 0; row < rows[kTile]; ++row)
      __builtin_memcpy(tiles[kTile][row], static_cast<const char*>(from) + row * stride, 64);
  }
  template <int kTile>
  static void store(void* to, size_t stride) noexcept {
    for (int row = 0; row < rows[kTile]; ++row)
      __builtin_memcpy(static_cast<char*>(to) + row * stride, tiles[kTile][row], 64);
  }
  template <int kSum, int kA, int kB>
  static void dot() noexcept {
    dot_bytes<uint8_t, kSum, kA, kB>();
  }
  template <int kSum, int kA, int kB>
  static void dot_signed() noexcept {
    dot_bytes<int8_t, kSum, kA, kB>();
  }
  template <class Byte, int kSum, int kA, int kB>
  static void dot_bytes() noexcept {
    for (int m = 0; m < rows[kSum]; ++m) {
      for (int n = 0; n < 16; ++n) {
        int32_t sum;
        __builtin_memcpy(&sum, &tiles[kSum][m][4 * n], 4);
        for (int k = 0; k < 64; ++k) {
          sum += static_cast<int8_t>(tiles[kA][m][k]) *
                 static_cast<Byte>(tiles[kB][k / 4][4 * n + k % 4]);
        }
        __builtin_memcpy(&tiles[kSum][m][4 * n], &sum, 4);
      }
    }
  }

  template <int kSum, int kA, int kB>
  static void dot_bf16() noexcept {
    const unsigned int kept = _mm_getcsr();
    _mm_setcsr(kept | 0x8040);  // subnormal numbers are zero, before and after
    for (int m = 0; m < rows[kSum]; ++m) add_bf16(tiles[kSum][m], tiles[kA][m], tiles[kB]);
    _mm_setcsr(kept);
  }

 private:
  static float bf16_at(const uint8_t* from) noexcept {
    const uint32_t bits = static_cast<uint32_t>(from[0] | from[1] << 8) << 16;
    float value;
    __builtin_memcpy(&value, &bits, sizeof value);
    return value;
  }
  // As Intel's manual has it: sums of the even and of the odd products, added, and then to the sum.
  __attribute__((noinline)) static void add_bf16(uint8_t* sums,
                                                 const uint8_t* a,
                                                 const uint8_t (*b)[64]) noexcept {
    for (int n = 0; n < 16; ++n) {
      float part[2] = {};
      for (int k = 0; k < 32; ++k) {
        part[k % 2] = __builtin_fmaf(bf16_at(a + 2 * k), bf16_at(b[k / 2] + 4 * n + 2 * (k % 2)),
                                     part[k % 2]);
      }
      float sum;
      __builtin_memcpy(&sum, sums + 4 * n, 4);
      sum += part[0] + part[1];
      __builtin_memcpy(sums + 4 * n, &sum, 4);
    }
  }

  static inline thread_local uint8_t tiles[8][16][64];
  static inline thread_local int rows[8];
};

}  // namespace tq::kernels::TQ_ISA

#include "kernels/cpu/linear_avx512.cpp"  // NOLINT: the point of this file
