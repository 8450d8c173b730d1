// The vectors of linear_body.h and how stored weights become floats, in plain C++. Compiled once
// per instruction set, in its own namespace TQ_ISA with its own width TQ_VECTOR_BYTES;
// linear_avx2.cpp replaces what its instructions do better. No #pragma once and no std:: inside:
// the code must not be shared between translation units that have different instruction-set flags.

namespace tq::kernels::TQ_ISA {

typedef float Vec __attribute__((vector_size(TQ_VECTOR_BYTES)));
typedef uint32_t Words __attribute__((vector_size(TQ_VECTOR_BYTES)));
typedef int32_t Ints __attribute__((vector_size(TQ_VECTOR_BYTES)));

constexpr int kLanes = TQ_VECTOR_BYTES / 4;
constexpr int kVecs = kPanelOutputs / kLanes;  // vectors per panel

// A vector from memory of any alignment.
template <class V>
inline __attribute__((always_inline)) V load(const void* from) noexcept {
  V vector;
  __builtin_memcpy(&vector, from, sizeof(V));
  return vector;
}

struct PlainDecode {
  // kLanes fp16 numbers. Their bits, moved to a float's place, are 2^-112 times too small, also
  // where they are subnormal.
  static Vec halves(const uint16_t* from) noexcept {
    Words bits;
    for (int i = 0; i < kLanes; ++i)
      bits[i] = (from[i] & 0x8000u) << 16 | (from[i] & 0x7fffu) << 13;
    return (Vec)bits * 0x1p112f;
  }
};

}  // namespace tq::kernels::TQ_ISA
