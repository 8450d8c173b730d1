// The same source as the real AVX-512 kernels of linear layers, over software intrinsics.
#include "tests/kernels/simde_avx512.h"

#define TQ_AVX512_EMULATED 1
#define TQ_ISA avx512_vnni_emulated

#include "kernels/cpu/linear_avx512.cpp"  // NOLINT: the point of this file
