// kernels/cuda/device.h in ordinary memory: what is put on a stream is done at once.
#include "kernels/cuda/device.h"

#include <cstdlib>
#include <cstring>
#include <string>
#include <utility>

#include "tests/kernels/simt/regions.h"

namespace tq::kernels::cuda {
namespace {

Result<KvArena::Region> allocate(uint64_t n_bytes) {
  constexpr size_t kAlignment = 256;  // of cudaMalloc
  const size_t n = (n_bytes + kAlignment) / kAlignment * kAlignment;
  auto* const region = static_cast<std::byte*>(std::aligned_alloc(kAlignment, n));
  std::memset(region, 0, n);
  simt::add_region(region, n_bytes);
  return KvArena::Region(region, [](std::byte* start) {
    simt::remove_region(start);
    std::free(start);
  });
}

}  // namespace

std::string missing_device() { return {}; }

Result<KvArena::Region> allocate_device(std::string_view, uint64_t n_bytes) {
  return allocate(n_bytes);
}
Result<KvArena::Region> allocate_pinned(uint64_t n_bytes) { return allocate(n_bytes); }

Result<void> copy(void* to, const void* from, size_t n_bytes, Stream) {
  if (n_bytes > 0) std::memcpy(to, from, n_bytes);
  return {};
}
Result<void> wait(Stream) { return {}; }

Result<Mark> Mark::create() { return Mark(nullptr); }
Mark::Mark(Mark&& other) noexcept : event_(other.event_) {}
Mark& Mark::operator=(Mark&& other) noexcept {
  std::swap(event_, other.event_);
  return *this;
}
Mark::~Mark() = default;
Result<void> Mark::set(Stream) { return {}; }
Result<void> Mark::wait() { return {}; }

}  // namespace tq::kernels::cuda
