#pragma once
// Which memory is the emulated device's: regions that do not overlap. Tests only; one thread.

#include <cstddef>

namespace tq::kernels::simt {

void add_region(const void* start, size_t n_bytes);
void remove_region(const void* start);
// Whether [at, at + n_bytes) lies in one of them.
bool in_region(const void* at, size_t n_bytes);

}  // namespace tq::kernels::simt
