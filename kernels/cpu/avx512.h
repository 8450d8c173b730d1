#pragma once
// The kernels of avx512.cpp. Any thread; only where the CPU has AVX-512 F, BW, VL and VNNI.

#include "kernels/cpu/isa_kernels.h"

#ifndef TQ_ISA_NAMESPACE
#define TQ_AVX512_NAMESPACE avx512
#else
#define TQ_AVX512_NAMESPACE TQ_ISA_NAMESPACE
#endif

namespace tq::kernels::cpu::TQ_AVX512_NAMESPACE {

const IsaKernels& kernels() noexcept;

}  // namespace tq::kernels::cpu::TQ_AVX512_NAMESPACE
