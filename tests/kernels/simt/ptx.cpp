#include "tests/kernels/simt/ptx.h"

#include "quant/float16.h"

namespace tq::kernels::cuda {
namespace {

// One lane's part of D[16][8] = A[16][depth] B[depth][8] + C. Lane 4g + t holds rows g and g + 8 of
// A, C and D, columns 2t and 2t + 1 of C and D, and column g of B.
template <class T>
struct Mma {
  uint32_t a[4];
  uint32_t b[2];
  T c[4];
};

template <class T>
Mma<T>& of(simt::Slots slots, int lane) {
  return *static_cast<Mma<T>*>(slots[lane]);
}

// Entry j of a register of 16- or 8-bit entries.
float entry_bf16(uint32_t word, int j) {
  return quant::bf16_to_float(static_cast<uint16_t>(word >> 16 * j));
}
int32_t entry_s8(uint32_t word, int j) { return static_cast<int8_t>(word >> 8 * j); }

// kPer entries to a register; registers a0 and a1 hold depths kPer * t + j of rows g and g + 8, a2
// and a3 those 4 * kPer further on.
template <class T, int kPer, T (*kEntry)(uint32_t, int)>
void act_mma(simt::Slots slots) {
  constexpr int kDepth = 8 * kPer;
  T a[16][kDepth], b[kDepth][8], c[16][8];
  for (int lane = 0; lane < 32; ++lane) {
    const Mma<T>& in = of<T>(slots, lane);
    const int g = lane / 4, t = lane % 4;
    for (int part = 0; part < 4; ++part) {
      const int row = g + part % 2 * 8;
      for (int j = 0; j < kPer; ++j) {
        const int depth = part / 2 * 4 * kPer + t * kPer + j;
        a[row][depth] = kEntry(in.a[part], j);
        if (part % 2 == 0) b[depth][g] = kEntry(in.b[part / 2], j);
      }
      c[g + part / 2 * 8][2 * t + part % 2] = in.c[part];
    }
  }
  for (int row = 0; row < 16; ++row) {
    for (int k = 0; k < kDepth; ++k) {
      for (int column = 0; column < 8; ++column) c[row][column] += a[row][k] * b[k][column];
    }
  }
  for (int lane = 0; lane < 32; ++lane) {
    for (int part = 0; part < 4; ++part) {
      of<T>(slots, lane).c[part] = c[lane / 4 + part / 2 * 8][lane % 4 * 2 + part % 2];
    }
  }
}

void act_transpose(simt::Slots slots) {
  uint16_t matrix[8][8];
  const auto at = [&](int lane) -> simt::Exchange& {
    return *static_cast<simt::Exchange*>(slots[lane]);
  };
  for (int lane = 0; lane < 32; ++lane) {
    for (int j = 0; j < 2; ++j) {
      matrix[lane / 4][lane % 4 * 2 + j] = static_cast<uint16_t>(at(lane).in >> 16 * j);
    }
  }
  for (int lane = 0; lane < 32; ++lane) {
    const uint32_t low = matrix[lane % 4 * 2][lane / 4];
    at(lane).out = low | static_cast<uint32_t>(matrix[lane % 4 * 2 + 1][lane / 4]) << 16;
  }
}

constexpr uint32_t kAllLanes = 0xffffffffu;

}  // namespace

float widen_fp16(uint16_t bits) { return quant::fp16_to_float(bits); }

uint32_t permute_bytes(uint32_t a, uint32_t b, uint32_t selector) {
  const uint64_t bytes = uint64_t{b} << 32 | a;
  uint32_t result = 0;
  for (int i = 0; i < 4; ++i) {
    const uint32_t nibble = selector >> 4 * i & 15u;
    uint32_t byte = static_cast<uint32_t>(bytes >> 8 * (nibble & 7u)) & 0xffu;
    if (nibble & 8u) byte = byte & 0x80u ? 0xffu : 0u;
    result |= byte << 8 * i;
  }
  return result;
}

uint32_t pack_bf16(float low, float high) {
  return quant::float_to_bf16(low) | static_cast<uint32_t>(quant::float_to_bf16(high)) << 16;
}

uint32_t pack_fp16(float low, float high) {
  return quant::float_to_fp16(low) | static_cast<uint32_t>(quant::float_to_fp16(high)) << 16;
}

void mma_s8(int32_t (&d)[4],
            const uint32_t (&a)[4],
            uint32_t b0,
            uint32_t b1,
            const int32_t (&c)[4],
            const simt::Place& place) {
  Mma<int32_t> slot{{a[0], a[1], a[2], a[3]}, {b0, b1}, {c[0], c[1], c[2], c[3]}};
  simt::meet(kAllLanes, &slot, act_mma<int32_t, 4, entry_s8>, place);
  for (int i = 0; i < 4; ++i) d[i] = slot.c[i];
}

void mma_bf16(
    float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1, const simt::Place& place) {
  Mma<float> slot{{a[0], a[1], a[2], a[3]}, {b0, b1}, {d[0], d[1], d[2], d[3]}};
  simt::meet(kAllLanes, &slot, act_mma<float, 2, entry_bf16>, place);
  for (int i = 0; i < 4; ++i) d[i] = slot.c[i];
}

uint32_t transpose_8x8(uint32_t row, const simt::Place& place) {
  return simt::exchange(kAllLanes, {row, 0}, act_transpose, place);
}

}  // namespace tq::kernels::cuda
