#pragma once
// LayerKernels: what a decoder layer computes on the CPU besides attention: linear layers
// (linear.h), RMSNorm with the residual sum before it, and SwiGLU. fp32 rows in, fp32 rows out; a
// row's result depends on that row alone, to the last bit. Pure functions; any thread, on disjoint
// ranges of rows at once.

#include <cstdint>
#include <span>
#include <string_view>

#include "config/result.h"
#include "kernels/linear.h"

namespace tq::kernels {

// x += delta, then y = x / rms(x) * weight (arXiv 1910.07467), rms(x) = sqrt(mean(x^2) + eps).
struct NormCall {
  std::span<float> x;             // [n_rows, size]
  std::span<const float> delta;   // the same, or empty: nothing is added and x is only read
  std::span<const float> weight;  // [size]
  std::span<float> y;             // [n_rows, size]; may be x
  float eps = 0.0f;
  int64_t row_begin = 0;  // rows [row_begin, row_end) are computed
  int64_t row_end = 0;
};

// y = silu(gate) * up (arXiv 2002.05202), silu(g) = g / (1 + e^-g), to 4e-7 relative. e^-g is taken
// as e^88 where g is below -88.
struct SwigluCall {
  std::span<const float> gate_up;  // [n_rows, 2 * size]: gate, then up
  std::span<float> y;              // [n_rows, size]
  int64_t size = 0;
  int64_t row_begin = 0;
  int64_t row_end = 0;
};

// x as integers, for linear() on codes.
struct CodeInputsCall {
  std::span<const float> x;  // [n_rows, n_inputs], all rows
  CodedRows coded{};         // n_inputs / 32 blocks a row
  int64_t n_inputs = 0;      // a multiple of 32
  int64_t row_begin = 0;
  int64_t row_end = 0;
};

// x as pairs of bf16, for linear() on bf16 weights.
struct SplitInputsCall {
  std::span<const float> x;      // [n_rows, n_inputs]
  std::span<SplitInputs> split;  // [n_rows, n_split_blocks(n_inputs)]
  int64_t n_inputs = 0;
  int64_t row_begin = 0;
  int64_t row_end = 0;
};

using CodeInputsFn = void (*)(const CodeInputsCall&) noexcept;
using SplitInputsFn = void (*)(const SplitInputsCall&) noexcept;
using NormFn = void (*)(const NormCall&) noexcept;
using SwigluFn = void (*)(const SwigluCall&) noexcept;

// One set per CPU backend.
struct LayerKernels {
  LinearFn linear = nullptr;
  CodeInputsFn code_inputs = nullptr;    // null: linear() takes weights of codes without it
  SplitInputsFn split_inputs = nullptr;  // null: linear() takes bf16 weights without it
  NormFn norm = nullptr;
  SwigluFn swiglu = nullptr;
};

// That of the attention backend of this name; "auto": the best that this machine runs. Unknown, not
// of this machine, or no CPU's: an error.
Result<LayerKernels> find_layer_kernels(std::string_view name);

namespace scalar {
LayerKernels layer_kernels() noexcept;
}
namespace avx2 {
LayerKernels layer_kernels() noexcept;
}
namespace avx512 {
LayerKernels layer_kernels() noexcept;
LayerKernels tiled_layer_kernels() noexcept;  // with AMX, the same bits
}  // namespace avx512
namespace neon {
LayerKernels layer_kernels() noexcept;
}

}  // namespace tq::kernels
