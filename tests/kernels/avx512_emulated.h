#pragma once
// The kernels of avx512_emulated.cpp. Any thread, any machine with AVX2 and F16C.

#include "kernels/cpu/isa_kernels.h"

namespace tq::kernels::cpu::avx512_emulated {

const IsaKernels& kernels() noexcept;

}  // namespace tq::kernels::cpu::avx512_emulated
