#include "bench/machine.h"

#include <fstream>
#include <thread>

namespace tq::bench {

std::string machine() {
  std::string model = "unknown CPU";
  std::ifstream cpuinfo("/proc/cpuinfo");
  for (std::string line; std::getline(cpuinfo, line);) {
    if (!line.starts_with("model name")) continue;
    const size_t colon = line.find(": ");
    if (colon != std::string::npos) model = line.substr(colon + 2);
    break;
  }
  std::string text =
      model + ", " + std::to_string(std::thread::hardware_concurrency()) + " threads";
  std::ifstream loadavg("/proc/loadavg");
  if (std::string load; loadavg >> load) text += ", load " + load;
  return text;
}

std::string_view compiler() noexcept { return __VERSION__; }

std::string provenance() {
  return "machine: " + machine() + "; commit: " + std::string(commit()) +
         "; compiler: " + std::string(compiler());
}

}  // namespace tq::bench
