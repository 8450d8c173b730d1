#pragma once
// What the machine has to give. Linux; main thread, at the start.

#include <cstdint>
#include <string>

namespace tq::server {

// Bytes of memory that this process may still use: what the kernel calls available, or what is left
// under the control group's limit if that is less. 0: unknown.
uint64_t available_memory();

// The same from the texts of the files; `limit` and `used` are empty where there is no group.
struct MemoryTexts {
  std::string meminfo;  // /proc/meminfo
  std::string limit;    // memory.max or memory.limit_in_bytes; "max": none
  std::string used;     // memory.current or memory.usage_in_bytes
};
uint64_t available_memory(const MemoryTexts& texts);

}  // namespace tq::server
