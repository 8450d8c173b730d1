#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "kernels/layer_kernels.h"

#define TQ_ISA avx2
#define TQ_VECTOR_BYTES 32
#include "kernels/cpu/linear_lanes.h"

namespace tq::kernels::avx2 {
constexpr int kRowsMax = 6;   // rows of a tile
constexpr int kSumsMax = 12;  // vectors of sums that fit the registers
struct Decode : PlainDecode {
  static Vec halves(const uint16_t* from) noexcept {
    return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
  }
};
}  // namespace tq::kernels::avx2

#include "kernels/cpu/linear_body.h"
#include "kernels/cpu/row_body.h"

namespace tq::kernels::avx2 {
LayerKernels layer_kernels() noexcept {
  return {.linear = widen_and_run, .norm = norm, .swiglu = swiglu};
}
}  // namespace tq::kernels::avx2
