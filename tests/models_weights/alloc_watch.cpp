#include "tests/models_weights/alloc_watch.h"

#include <malloc.h>

#include <atomic>
#include <cstdlib>
#include <new>

namespace tq::models::testing {
namespace {

std::atomic<size_t> live{0};
std::atomic<size_t> peak{0};

void* counted_or_null(size_t size) noexcept {
  void* memory = std::malloc(size == 0 ? 1 : size);
  if (memory == nullptr) return nullptr;
  const size_t now = live.fetch_add(::malloc_usable_size(memory)) + ::malloc_usable_size(memory);
  size_t before = peak.load();
  while (now > before && !peak.compare_exchange_weak(before, now)) {
  }
  return memory;
}

void* counted(size_t size) {
  void* memory = counted_or_null(size);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

void release(void* memory) noexcept {
  if (memory == nullptr) return;
  live.fetch_sub(::malloc_usable_size(memory));
  std::free(memory);
}

}  // namespace

size_t live_bytes() noexcept { return live.load(); }
size_t peak_bytes() noexcept { return peak.load(); }
void reset_peak() noexcept { peak.store(live.load()); }

}  // namespace tq::models::testing

void* operator new(size_t size) { return tq::models::testing::counted(size); }
void* operator new[](size_t size) { return tq::models::testing::counted(size); }
// Catch2 allocates with the nothrow form and frees with the plain one.
void* operator new(size_t size, const std::nothrow_t&) noexcept {
  return tq::models::testing::counted_or_null(size);
}
void* operator new[](size_t size, const std::nothrow_t&) noexcept {
  return tq::models::testing::counted_or_null(size);
}
void operator delete(void* memory) noexcept { tq::models::testing::release(memory); }
void operator delete[](void* memory) noexcept { tq::models::testing::release(memory); }
void operator delete(void* memory, size_t) noexcept { tq::models::testing::release(memory); }
void operator delete[](void* memory, size_t) noexcept { tq::models::testing::release(memory); }
