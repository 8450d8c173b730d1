#pragma once
// PackedLinear: y = x W^T for decode and prefill on the CPU, weights packed once at load. Immutable
// once packed; linear() may run on any thread, on disjoint ranges of panels at once.
//
// Why not a library GEMM: every output is one fp32 sum in an order of its own, whatever n_rows is,
// so a sequence's logits have the same bits alone and in any batch; and a matrix-vector product
// (decode) streams the weights once at memory speed. Weights in memory are fp32, bf16 or codes of 4
// to 8 bits with a scale per 32 or 16. Two ways to meet codes:
// * the kernel widens them to fp32 in registers. A code's product with its scale is exact in fp32
//   (at most 19 bits), so the widened weight has one rounding at most, that of adding a minimum,
//   and is ggml's own to the bit: sums over codes equal sums over kF32 panels of the decoded
//   weights to the bit as well.
// * kernels that code their inputs (CodedInputs) multiply integers, exactly, and scale the sum of
//   each 32. Weights are not rounded; inputs are, to 12 bits per 32 of them.
// Kernels may also take the inputs of bf16 weights as bf16, two numbers for each (SplitInputs).
//
// Layout: packed_blocks.h. The last panel is padded with zeros.

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "config/result.h"
#include "kernels/packed_blocks.h"

namespace tq::kernels {

// kCodeInputs weights of one output.
struct CodeBlock {
  uint16_t d = 0;                           // fp16 bits; kQ6_K: of the first 16 inputs
  uint16_t d_second = 0;                    // of the second 16; kQ6_K only
  uint16_t m = 0;                           // fp16 bits; kQ4_1 and kQ5_1 only
  std::array<int8_t, kCodeInputs> codes{};  // unsigned, but for kQ8_0
};

class PackedLinear {
 public:
  // Room for [n_outputs, n_inputs] weights, all zero bits. Codes: n_inputs is a multiple of
  // kCodeInputs.
  static Result<PackedLinear> create(int64_t n_outputs, int64_t n_inputs, PackedType type);

  // kF32 and kBf16. rows: [n, n_inputs] fp32, the weights of outputs [first, first + n). bf16
  // rounds to nearest even.
  void pack_rows(int64_t first, std::span<const float> rows);
  // The types of codes. Inputs [kCodeInputs * index, + kCodeInputs) of one output.
  void pack_block(int64_t output, int64_t index, const CodeBlock& block);
  // The weights of one output, widened: the embedding look-up of a tied matrix.
  void unpack_row(int64_t output, std::span<float> row) const;

  int64_t n_outputs() const noexcept { return n_outputs_; }
  int64_t n_inputs() const noexcept { return n_inputs_; }
  PackedType type() const noexcept { return type_; }
  int64_t n_panels() const noexcept { return (n_outputs_ + kPanelOutputs - 1) / kPanelOutputs; }
  size_t panel_bytes() const noexcept;
  size_t bytes() const noexcept { return static_cast<size_t>(n_panels()) * panel_bytes(); }
  const std::byte* panel(int64_t index) const noexcept;

 private:
  using Storage = std::unique_ptr<std::byte, void (*)(std::byte*)>;
  PackedLinear(int64_t n_outputs, int64_t n_inputs, PackedType type, Storage storage);
  std::byte* panel_of(int64_t output) noexcept;

  int64_t n_outputs_;
  int64_t n_inputs_;
  PackedType type_;
  Storage storage_;  // 64-byte aligned
};

// 32 inputs of a row as integers 16 high + low times a unit, -8 <= low < 8: |error| <= unit / 2,
// unit the largest magnitude / 2032. Words as in packed_blocks.h. A block whose inputs are all
// below 1e-30 is zero; a NaN or infinity among them makes the unit one, and all that it meets.
struct alignas(64) CodedInputs {
  static constexpr float kMost = 127.0f * 16.0f;
  static constexpr float kLeast = 1e-30f;

  int32_t high[kCodeInputs / 4];
  int32_t low[kCodeInputs / 4];
};
struct InputTotals {
  int32_t all;     // the sum of the 32 integers
  int32_t second;  // of the second 16
};
// The blocks of rows: coded_row() says where, the same in each array.
struct CodedRows {
  CodedInputs* inputs = nullptr;
  float* units = nullptr;
  float* sums = nullptr;  // unit times all
  InputTotals* totals = nullptr;

  CodedRows from(int64_t at) const noexcept {
    return {inputs + at, units + at, sums + at, totals + at};
  }
};
// Rows lie in tiles of up to 16, a tile block by block and a block row by row, so that what AMX
// takes at once is contiguous. Where a row's first block is, and how far it is to the next:
struct CodedRow {
  int64_t first;
  int64_t step;
};
constexpr int64_t kCodedTileRows = 16;
constexpr CodedRow coded_row(int64_t row, int64_t n_rows, int64_t n_blocks) noexcept {
  const int64_t tile = row / kCodedTileRows * kCodedTileRows;
  const int64_t left = n_rows - tile;
  return {tile * n_blocks + (row - tile), left < kCodedTileRows ? left : kCodedTileRows};
}

// kSplitInputs inputs of a row, each the sum of two bf16 numbers (bits) but for 2^-17 of it, or
// 2^-126; the row's last are followed by zeros. A NaN stays one, and what rounds to infinity
// becomes one.
struct alignas(64) SplitInputs {
  uint16_t high[kSplitInputs];
  uint16_t low[kSplitInputs];
};
// Of a row. Odd, so that 16 rows' lines do not meet in few sets of a cache.
constexpr int64_t n_split_blocks(int64_t n_inputs) noexcept {
  return (n_inputs + kSplitInputs - 1) / kSplitInputs | 1;
}

struct LinearCall {
  const PackedLinear* weights = nullptr;
  std::span<const float> x;  // [n_rows, n_inputs]
  CodedRows coded{};         // of x, n_inputs / 32 blocks a row, for kernels that code them
  // [n_rows, n_split_blocks(n_inputs)], of x, for kernels that split them.
  std::span<const SplitInputs> split{};
  std::span<float> y;  // [n_rows, n_outputs], rows y_stride apart
  int64_t y_stride = 0;
  int64_t n_rows = 0;
  int64_t panel_begin = 0;  // computes outputs of panels [panel_begin, panel_end)
  int64_t panel_end = 0;
};

// One per CPU backend.
using LinearFn = void (*)(const LinearCall&) noexcept;

}  // namespace tq::kernels
