#pragma once
// Rows on their way into and out of the store: rotation, append to a hot tile, coding of a sealed
// tile. One version in AVX2, which "avx512" uses too, and "neon" over SIMDe. Bit for bit what
// StoreCodec does: the same additions in the same order, only several rows or coordinates at once.
// Any thread; only where the CPU has AVX2 and F16C.

#include "kernels/cpu/isa_kernels.h"

namespace tq::kernels::cpu::rows_avx2 {

void rotate(const RotationView& rotation, float* rows, int n_rows, bool inverse);
void append(const AppendRun& run);
bool seal(const SealTile& tile);

}  // namespace tq::kernels::cpu::rows_avx2
