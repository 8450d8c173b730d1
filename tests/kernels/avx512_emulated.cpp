// The same source as the real AVX-512 kernels, over software intrinsics.
#include "tests/kernels/avx512_emulated.h"

#include "tests/kernels/simde_avx512.h"

#define TQ_AVX512_EMULATED 1
#define TQ_ISA_NAMESPACE avx512_emulated
#define TQ_ISA_NAME "avx512-emulated"

#include "kernels/cpu/avx512.cpp"  // NOLINT: the point of this file
