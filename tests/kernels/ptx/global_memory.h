#pragma once
// The device's memory during one launch, with what is known of each byte that the launch wrote.
// What one thread wrote, no other may write (but with the same value) or read before a barrier of
// their block; and nobody may read it as constant. One thread.

#include <array>
#include <cstddef>
#include <cstdint>
#include <unordered_map>

#include "tests/kernels/ptx/shared_memory.h"

namespace tq::kernels::ptx {

class GlobalMemory {
 public:
  struct Thread {
    uint32_t block = 0;
    uint32_t n_barriers = 0;  // of its block, so far
    SharedMemory::Thread in_block;
  };

  // The bytes, n of them from `at` on, which is a multiple of n, at most 16; or null with a reason
  // in problem().
  const std::byte* read(uint64_t at, size_t n, const Thread& thread, bool is_constant);
  // Whether they could be written.
  bool write(uint64_t at, const std::byte* values, size_t n, const Thread& thread);
  // The bytes of an atomic operation, or null: others like it need no barrier.
  std::byte* update(uint64_t at, size_t n, const Thread& thread);
  const char* problem() const { return problem_; }

 private:
  static constexpr size_t kPageBytes = 256;
  struct Writer {
    bool is_known = false;
    Thread thread;
    bool is_update = false;
  };
  using Page = std::array<Writer, kPageBytes>;
  static bool follows(const Thread& earlier, const Thread& now);
  bool contains(uint64_t at, size_t n);

  std::unordered_map<uint64_t, Page> pages_;
  const char* problem_ = "";
};

}  // namespace tq::kernels::ptx
