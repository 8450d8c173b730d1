// The AVX-512 kernels. Compiled with -mavx512f,bw,vl,vnni,vbmi; run only where the CPU has them. A
// test includes this file under another name, over software intrinsics.
#include "kernels/cpu/avx512.h"

#ifndef TQ_ISA_NAMESPACE
#define TQ_ISA_NAMESPACE avx512
#define TQ_ISA_NAME "avx512"
#endif

#include "kernels/cpu/pack_pairs.h"
//
#include "kernels/cpu/simd_avx512.h"
//
#include "kernels/cpu/softmax_body.h"
//
#include "kernels/cpu/dot_body.h"
//
#include "kernels/cpu/tile_body.h"
//
#include "kernels/cpu/attention_body.h"
//
#include "kernels/cpu/rows_avx512.h"
//
#include "kernels/cpu/seal_avx512.h"

namespace tq::kernels::cpu::TQ_ISA_NAMESPACE {

const IsaKernels& kernels() noexcept {
  static constexpr IsaKernels kKernels{.name = TQ_ISA_NAME,
                                       .prepare = prepare,
                                       .attend_part = attend_part,
                                       .rotate = rotate,
                                       .append = append,
                                       .seal = seal};
  return kKernels;
}

}  // namespace tq::kernels::cpu::TQ_ISA_NAMESPACE
