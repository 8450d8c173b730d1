#pragma once
// Counts what operator new was asked for, in all threads, in the binary that links the .cpp.

namespace tq::test {

long n_allocations() noexcept;  // since the start

}  // namespace tq::test
