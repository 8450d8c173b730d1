#pragma once
// The kernels of avx512.cpp. Any thread; only where the CPU has AVX-512 F, BW, VL and VNNI.

#include "kernels/cpu/isa_kernels.h"

namespace tq::kernels::cpu::avx512 {

const IsaKernels& kernels() noexcept;

}  // namespace tq::kernels::cpu::avx512
