// The AVX2 kernels. Compiled with -mavx2 -mfma -mf16c; run only where the CPU has them.
#define TQ_ISA_NAMESPACE avx2

#include "kernels/cpu/avx2.h"
#include "kernels/cpu/rows_avx2.h"

#include "kernels/cpu/pack_pairs.h"
//
#include "kernels/cpu/simd_avx2.h"
//
#include "kernels/cpu/softmax_body.h"
//
#include "kernels/cpu/dot_body.h"
//
#include "kernels/cpu/tile_body.h"
//
#include "kernels/cpu/attention_body.h"

namespace tq::kernels::cpu::avx2 {

const IsaKernels& kernels() noexcept {
  static constexpr IsaKernels kKernels{.name = "avx2",
                                       .prepare = prepare,
                                       .attend_part = attend_part,
                                       .rotate = rows_avx2::rotate,
                                       .append = rows_avx2::append,
                                       .seal = rows_avx2::seal};
  return kKernels;
}

}  // namespace tq::kernels::cpu::avx2
