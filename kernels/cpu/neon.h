#pragma once
// The kernels of neon.cpp. Any thread; only where the CPU has NEON's dot products.

#include "kernels/cpu/isa_kernels.h"

namespace tq::kernels::cpu::neon {

const IsaKernels& kernels() noexcept;

}  // namespace tq::kernels::cpu::neon
