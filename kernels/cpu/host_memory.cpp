#include "kernels/cpu/host_memory.h"

#include <sys/mman.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

namespace tq::kernels::cpu {
namespace {

// The length of a mapping is kept in front of the region that its user sees, a page before it.
constexpr size_t kHeaderBytes = 4096;

void release(std::byte* region) {
  if (region == nullptr) return;
  std::byte* const base = region - kHeaderBytes;
  size_t bytes = 0;
  std::memcpy(&bytes, base, sizeof bytes);
  munmap(base, bytes);
}

}  // namespace

// Pages of an anonymous mapping are zero. A page of padding follows, so that a kernel that reads
// ahead by a vector stays inside.
Result<KvArena::Region> map_region(std::string_view what, uint64_t n_bytes) {
  const uint64_t bytes = n_bytes + 2 * kHeaderBytes;
  void* const base =
      mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (base == MAP_FAILED) {
    return Error{Code::kIo,
                 "cannot map " + std::to_string(bytes) + " bytes for the KV cache's " +
                     std::string(what) + ": " + std::strerror(errno),
                 "--kv-budget"};
  }
  madvise(base, bytes, MADV_HUGEPAGE);  // advice only: refusal costs speed, not correctness
  const size_t length = bytes;
  std::memcpy(base, &length, sizeof length);
  return KvArena::Region(static_cast<std::byte*>(base) + kHeaderBytes, release);
}

}  // namespace tq::kernels::cpu
