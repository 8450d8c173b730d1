#include "tests/kernels/ptx/global_memory.h"

#include <cstring>

#include "tests/kernels/simt/regions.h"

namespace tq::kernels::ptx {

bool GlobalMemory::contains(uint64_t at, size_t n) {
  if (simt::in_region(reinterpret_cast<const void*>(at), n)) return true;
  problem_ = "not in one of the device's regions";
  return false;
}

bool GlobalMemory::follows(const Thread& earlier, const Thread& now) {
  if (earlier.block != now.block) return false;
  if (earlier.n_barriers != now.n_barriers) return true;
  if (earlier.in_block.warp != now.in_block.warp) return false;
  return earlier.in_block.lane == now.in_block.lane ||
         earlier.in_block.n_meetings != now.in_block.n_meetings;
}

const std::byte* GlobalMemory::read(uint64_t at, size_t n, const Thread& thread, bool is_constant) {
  if (!contains(at, n)) return nullptr;
  if (const auto page = pages_.find(at / kPageBytes); page != pages_.end()) {
    for (size_t i = 0; i < n; ++i) {
      const Writer& writer = page->second[at % kPageBytes + i];
      if (!writer.is_known || (!is_constant && follows(writer.thread, thread))) continue;
      problem_ = is_constant ? "read as constant, and written by the same launch"
                             : "written by another thread of the same launch";
      return nullptr;
    }
  }
  return reinterpret_cast<const std::byte*>(at);
}

bool GlobalMemory::write(uint64_t at, const std::byte* values, size_t n, const Thread& thread) {
  if (!contains(at, n)) return false;
  auto* const bytes = reinterpret_cast<std::byte*>(at);
  Page& page = pages_[at / kPageBytes];
  for (size_t i = 0; i < n; ++i) {
    Writer& writer = page[at % kPageBytes + i];
    if (writer.is_known && !follows(writer.thread, thread) && bytes[i] != values[i]) {
      problem_ = "written by another thread of the same launch with another value";
      return false;
    }
    writer = {.is_known = true, .thread = thread};
  }
  std::memcpy(bytes, values, n);
  return true;
}

std::byte* GlobalMemory::update(uint64_t at, size_t n, const Thread& thread) {
  if (!contains(at, n)) return nullptr;
  Page& page = pages_[at / kPageBytes];
  for (size_t i = 0; i < n; ++i) {
    Writer& writer = page[at % kPageBytes + i];
    if (writer.is_known && !writer.is_update && !follows(writer.thread, thread)) {
      problem_ = "written by another thread of the same launch";
      return nullptr;
    }
    writer = {.is_known = true, .thread = thread, .is_update = true};
  }
  return reinterpret_cast<std::byte*>(at);
}

}  // namespace tq::kernels::ptx
