#ifndef TQ_AVX512_EMULATED
#include <immintrin.h>
#endif

#include <cstddef>
#include <cstdint>

#include "kernels/layer_kernels.h"

#ifndef TQ_ISA
#define TQ_ISA avx512
#endif
#define TQ_VECTOR_BYTES 64
#include "kernels/cpu/linear_lanes.h"

namespace tq::kernels::TQ_ISA {
constexpr int kRowsMax = 8;   // rows of a tile
constexpr int kSumsMax = 16;  // vectors of sums that fit the registers
using Decode = PlainDecode;
}  // namespace tq::kernels::TQ_ISA

#include "kernels/cpu/linear_body.h"
#include "kernels/cpu/row_body.h"
// After row_body.h, as which it stores rows.
#include "kernels/cpu/linear_codes_avx512.h"
// And then what takes tiles, where they are.
#ifndef TQ_AVX512_EMULATED
#include "kernels/cpu/amx_tiles.h"
#endif
#include "kernels/cpu/linear_bf16_amx.h"
//
#include "kernels/cpu/linear_amx_body.h"

namespace tq::kernels::TQ_ISA {
LayerKernels layer_kernels() noexcept {
  return {.linear = linear, .code_inputs = code_inputs, .norm = norm, .swiglu = swiglu};
}
LayerKernels tiled_layer_kernels() noexcept {
  return {.linear = tiled_linear,
          .code_inputs = code_inputs,
          .split_inputs = split_inputs,
          .norm = norm,
          .swiglu = swiglu};
}
}  // namespace tq::kernels::TQ_ISA
