#pragma once
// AVX2's, FMA's and F16C's intrinsics: the compiler's own, or on another CPU SIMDe's under their
// names, made of that CPU's instructions. For ISA translation units.

#if defined(__x86_64__)
#include <immintrin.h>
#else
#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx2.h>
#include <simde/x86/f16c.h>
#include <simde/x86/fma.h>
#endif
