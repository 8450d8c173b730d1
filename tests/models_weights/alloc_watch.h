#pragma once
// Counts the heap bytes of the whole test binary (alloc_watch.cpp replaces operator new), so that a
// test can bound what an input makes the code allocate. Test code only; any thread.

#include <cstddef>

namespace tq::models::testing {

size_t live_bytes() noexcept;
size_t peak_bytes() noexcept;  // the most that was live since reset_peak()
void reset_peak() noexcept;

}  // namespace tq::models::testing
