#pragma once
// The most memory that this process has held since the peak was last reset, as Linux counts it: the
// whole process, weights included. Main thread only.

#include <cstdint>
#include <optional>

namespace tq::bench {

// The peak becomes what is resident now. False where the kernel does not let a process do so.
bool reset_peak_rss();

// Nothing where the kernel does not say.
std::optional<uint64_t> peak_rss_bytes();

}  // namespace tq::bench
