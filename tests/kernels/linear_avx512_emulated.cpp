// The linear kernel's AVX-512 shape (64-byte vectors, eight rows), compiled for this machine: the
// compiler splits the vectors, so that a machine without AVX-512 tests its tiles too.
#include <cstddef>
#include <cstdint>

#include "kernels/layer_kernels.h"

#define TQ_ISA avx512_emulated
#define TQ_VECTOR_BYTES 64
#include "kernels/cpu/linear_lanes.h"

namespace tq::kernels::avx512_emulated {
constexpr int kRowsMax = 8;
constexpr int kSumsMax = 16;
using Decode = PlainDecode;
}  // namespace tq::kernels::avx512_emulated

#include "kernels/cpu/linear_body.h"
#include "kernels/cpu/row_body.h"

namespace tq::kernels::avx512_emulated {
LayerKernels layer_kernels() noexcept {
  return {.linear = widen_and_run, .norm = norm, .swiglu = swiglu};
}
}  // namespace tq::kernels::avx512_emulated
