// The NEON kernels. Compiled with -march=armv8.2-a+dotprod; run only where the CPU has that.
#define TQ_ISA_NAMESPACE neon

#include "kernels/cpu/neon.h"
#include "kernels/cpu/rows_avx2.h"

#include "kernels/cpu/simd_neon.h"
//
#include "kernels/cpu/softmax_body.h"
//
#include "kernels/cpu/dot_body.h"
//
#include "kernels/cpu/tile_body.h"
//
#include "kernels/cpu/attention_body.h"

namespace tq::kernels::cpu::neon {

const IsaKernels& kernels() noexcept {
  static constexpr IsaKernels kKernels{.name = "neon",
                                       .prepare = prepare,
                                       .attend_part = attend_part,
                                       .rotate = rows_avx2::rotate,
                                       .append = rows_avx2::append,
                                       .seal = rows_avx2::seal};
  return kKernels;
}

}  // namespace tq::kernels::cpu::neon
