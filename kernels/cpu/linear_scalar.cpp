#include <cstddef>
#include <cstdint>

#include "kernels/layer_kernels.h"

#define TQ_ISA scalar
#define TQ_VECTOR_BYTES 16
#include "kernels/cpu/linear_lanes.h"

namespace tq::kernels::scalar {
constexpr int kRowsMax = 4;   // rows of a tile
constexpr int kSumsMax = 16;  // vectors of sums: 4 rows of a panel, or 4 panels of a row
using Decode = PlainDecode;
}  // namespace tq::kernels::scalar

#include "kernels/cpu/linear_body.h"
#include "kernels/cpu/row_body.h"

namespace tq::kernels::scalar {
LayerKernels layer_kernels() noexcept {
  return {.linear = widen_and_run, .norm = norm, .swiglu = swiglu};
}
}  // namespace tq::kernels::scalar
