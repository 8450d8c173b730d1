#pragma once
// The byte layout of PackedLinear's panels: kPanelOutputs outputs side by side, so that one vector
// load yields the same input's weight for all of them. The only owner of it, for packing, kernels
// and tests. Plain values; any thread.
//
// kF32: [k][16] floats. kBf16: [k / 2][16] 32-bit words, even k in the low half; padded with zeros
// to a multiple of kSplitInputs. Codes, the numbers of ggml's block types of the same name: a run
// of the structs below, each 32 inputs of the panel. Scales are IEEE half precision, kept as bits.
// An input's place in a block: byte i of word w is input 8 (w / 2) + 2 i + w % 2, and word w is
// what remains of nibbles w / 2, masked to every second one.

#include <cstddef>
#include <cstdint>

namespace tq::kernels {

inline constexpr int kPanelOutputs = 16;
inline constexpr int kCodeInputs = 32;   // that share a scale
inline constexpr int kSplitInputs = 32;  // a tile of bf16 weights: 1 KiB

enum class PackedType : uint8_t { kF32, kBf16, kQ4_0, kQ4_1, kQ5_1, kQ6_K, kQ8_0 };

constexpr bool is_codes(PackedType type) noexcept {
  return type != PackedType::kF32 && type != PackedType::kBf16;
}

// Nibble i of word j: input 8 j + i.
using NibbleWords = uint32_t[kCodeInputs / 8][kPanelOutputs];
using ByteWords = uint32_t[kCodeInputs / 4][kPanelOutputs];

// d: [kScales][16], each for kCodeInputs / kScales inputs. zero: the code that stands for 0, where
// no minimum says so.
struct PanelQ4_0 {  // value = d (code - zero)
  static constexpr int kScales = 1;
  static constexpr float kZero = 8.0f;
  uint16_t d[kScales][kPanelOutputs];
  NibbleWords codes;
};
struct PanelQ4_1 {  // value = d code + m
  static constexpr int kScales = 1;
  uint16_t d[kScales][kPanelOutputs];
  uint16_t m[kPanelOutputs];
  NibbleWords codes;
};
struct PanelQ5_1 {  // value = d code + m
  static constexpr int kScales = 1;
  uint16_t d[kScales][kPanelOutputs];
  uint16_t m[kPanelOutputs];
  NibbleWords codes;              // the lower 4 bits
  uint32_t upper[kPanelOutputs];  // bit 8 i + w: of byte i of word w
};
struct PanelQ6_K {  // value = d (code - zero)
  static constexpr int kScales = 2;
  static constexpr float kZero = 32.0f;
  uint16_t d[kScales][kPanelOutputs];
  NibbleWords codes;                 // the lower 4 bits
  uint32_t upper[2][kPanelOutputs];  // bits 8 i + 2 w, + 1 of upper[h]: of byte i of word 4 h + w
};
struct PanelQ8_0 {  // value = d (code - zero): the file's signed code, plus 128
  static constexpr int kScales = 1;
  static constexpr float kZero = 128.0f;
  uint16_t d[kScales][kPanelOutputs];
  ByteWords codes;
};
static_assert(sizeof(PanelQ4_0) * 8 == 512 * 9 / 2 && sizeof(PanelQ4_1) * 8 == 512 * 5);
static_assert(sizeof(PanelQ5_1) * 8 == 512 * 6 && sizeof(PanelQ6_K) * 8 == 512 * 7);
static_assert(sizeof(PanelQ8_0) * 8 == 512 * 17 / 2);

// Bytes of a panel's first n_inputs; whole words or blocks, so a place to start from where n_inputs
// is even, or for codes a multiple of kCodeInputs.
constexpr size_t panel_prefix_bytes(PackedType type, int64_t n_inputs) noexcept {
  const auto n = static_cast<size_t>(n_inputs);
  constexpr size_t kRow = kPanelOutputs * sizeof(uint32_t);
  switch (type) {
    case PackedType::kF32: return n * kRow;
    case PackedType::kBf16: return (n + kSplitInputs - 1) / kSplitInputs * kSplitInputs / 2 * kRow;
    case PackedType::kQ4_0: return n / kCodeInputs * sizeof(PanelQ4_0);
    case PackedType::kQ4_1: return n / kCodeInputs * sizeof(PanelQ4_1);
    case PackedType::kQ5_1: return n / kCodeInputs * sizeof(PanelQ5_1);
    case PackedType::kQ6_K: return n / kCodeInputs * sizeof(PanelQ6_K);
    case PackedType::kQ8_0: return n / kCodeInputs * sizeof(PanelQ8_0);
  }
  return 0;
}

}  // namespace tq::kernels
