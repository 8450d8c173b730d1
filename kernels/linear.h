#pragma once
// PackedLinear: y = x W^T for decode and prefill on the CPU, weights packed once at load. Immutable
// after pack(); linear() may run on any thread, on disjoint ranges of panels at once.
//
// Why not a library GEMM: every output is one sequential fp32 sum over k, whatever n_rows is, so a
// sequence's logits have the same bits alone and in any batch; a matrix-vector product (decode)
// streams the weights once at memory speed; and bf16 weights need no bf16 instructions (a shift
// widens them), which halves the bytes.
//
// Layout: panels of 16 outputs. fp32: [panel][k][16]. bf16: [panel][k / 2][16] 32-bit words, even k
// in the low half. The last panel and an odd k are padded with zeros.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "config/result.h"

namespace tq::kernels {

inline constexpr int kPanelOutputs = 16;

enum class PackedType : uint8_t { kF32, kBf16 };

class PackedLinear {
 public:
  // Room for [n_outputs, n_inputs] weights, all zero; rows are then filled by pack_rows().
  static Result<PackedLinear> create(int64_t n_outputs, int64_t n_inputs, PackedType type);

  // rows: [n, n_inputs] fp32, the weights of outputs [first, first + n). bf16 rounds to nearest
  // even.
  void pack_rows(int64_t first, std::span<const float> rows);
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

  int64_t n_outputs_;
  int64_t n_inputs_;
  PackedType type_;
  Storage storage_;  // 64-byte aligned
};

struct LinearCall {
  const PackedLinear* weights = nullptr;
  std::span<const float> x;  // [n_rows, n_inputs]
  std::span<float> y;        // [n_rows, n_outputs]
  int64_t n_rows = 0;
  int64_t panel_begin = 0;  // computes outputs of panels [panel_begin, panel_end)
  int64_t panel_end = 0;
};

// One implementation per CPU backend; they differ in the order of rounding, not in the sums' order.
using LinearFn = void (*)(const LinearCall&) noexcept;

// That of the attention backend of this name; "auto": the best that this machine runs. Unknown, not
// of this machine, or no CPU's: an error.
Result<LinearFn> find_linear(std::string_view name);

namespace scalar {
void linear(const LinearCall& call) noexcept;
}
namespace avx2 {
void linear(const LinearCall& call) noexcept;
}
namespace avx512 {
void linear(const LinearCall& call) noexcept;
}

}  // namespace tq::kernels
