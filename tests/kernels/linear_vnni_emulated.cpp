// The same source as the real AVX-512 and AMX kernels of linear layers, over software intrinsics.
#include <cstdint>

#include "tests/kernels/simde_avx512.h"

#define TQ_AVX512_EMULATED 1
#define TQ_ISA avx512_vnni_emulated

namespace tq::kernels::TQ_ISA {

struct Tiles {
  static void begin() noexcept {}
  static void end() noexcept {}
  template <int kTile>
  static void zero() noexcept {
    __builtin_memset(tiles[kTile], 0, sizeof tiles[kTile]);
  }
  template <int kTile>
  static void load(const void* from, size_t stride) noexcept {
    for (size_t row = 0; row < 16; ++row)
      __builtin_memcpy(tiles[kTile][row], static_cast<const char*>(from) + row * stride, 64);
  }
  template <int kTile>
  static void store(void* to, size_t stride) noexcept {
    for (size_t row = 0; row < 16; ++row)
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
    for (int m = 0; m < 16; ++m) {
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

  static inline thread_local uint8_t tiles[8][16][64];
};

}  // namespace tq::kernels::TQ_ISA

#include "kernels/cpu/linear_avx512.cpp"  // NOLINT: the point of this file
