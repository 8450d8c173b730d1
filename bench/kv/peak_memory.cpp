#include "bench/kv/peak_memory.h"

#include <fstream>
#include <string>

namespace tq::bench {

bool reset_peak_rss() {
  std::ofstream file("/proc/self/clear_refs");
  file << '5';  // proc(5): resets VmHWM
  return static_cast<bool>(file.flush());
}

std::optional<uint64_t> peak_rss_bytes() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    if (word != "VmHWM:") continue;
    uint64_t kib = 0;
    if (status >> kib) return kib * 1024;
  }
  return std::nullopt;
}

}  // namespace tq::bench
