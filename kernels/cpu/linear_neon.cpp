#include <arm_neon.h>

#include <cstddef>
#include <cstdint>

#include "kernels/layer_kernels.h"

#define TQ_ISA neon
#define TQ_VECTOR_BYTES 16
#include "kernels/cpu/linear_lanes.h"

namespace tq::kernels::neon {
constexpr int kRowsMax = 6;   // rows of a tile
constexpr int kSumsMax = 24;  // vectors of sums that fit the registers
struct Decode : PlainDecode {
  static Vec halves(const uint16_t* from) noexcept {
    return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(from)));
  }
};
}  // namespace tq::kernels::neon

#include "kernels/cpu/linear_body.h"
#include "kernels/cpu/row_body.h"
//
#include "kernels/cpu/linear_codes_neon.h"

namespace tq::kernels::neon {
LayerKernels layer_kernels() noexcept {
  return {.linear = linear, .code_inputs = code_inputs, .norm = norm, .swiglu = swiglu};
}
}  // namespace tq::kernels::neon
