#pragma once
// The kernels of avx2.cpp. Any thread; only where the CPU has AVX2, FMA and F16C.

#include "kernels/cpu/isa_kernels.h"

namespace tq::kernels::cpu::avx2 {

const IsaKernels& kernels() noexcept;

}  // namespace tq::kernels::cpu::avx2
