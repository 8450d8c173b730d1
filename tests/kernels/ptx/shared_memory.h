#pragma once
// A block's shared memory, with what is known of each byte: who wrote and read it since which
// barrier. A read of what nobody wrote, and two accesses that no barrier orders, are faults. One
// thread.

#include <cstddef>
#include <cstdint>
#include <vector>

namespace tq::kernels::ptx {

class SharedMemory {
 public:
  struct Thread {
    int warp = 0;
    int lane = 0;
    uint32_t n_meetings = 0;  // of its warp, that order memory, so far
  };

  explicit SharedMemory(size_t n_bytes) : bytes_(n_bytes), known_(n_bytes) {}

  // The bytes, n of them from `at` on, or null with a reason in problem().
  const std::byte* read(uint64_t at, size_t n, const Thread& thread);
  std::byte* write(uint64_t at, size_t n, const Thread& thread);
  // Of an atomic operation: others like it need no barrier.
  std::byte* update(uint64_t at, size_t n, const Thread& thread);
  const char* problem() const { return problem_; }

  void pass_barrier() { ++n_barriers_; }

 private:
  struct Moment {
    uint32_t n_barriers = 0;
    uint32_t n_meetings = 0;
    uint32_t warp = 0;
    bool operator==(const Moment&) const = default;
  };
  struct Known {
    Moment written;             // the latest, of both kinds
    Moment stored;              // by no atomic operation
    Moment read;                // the latest
    uint32_t reader_lanes = 0;  // at that moment
    uint32_t reader_warps = 0;  // since that moment's barrier
    uint8_t writer_lane = 0;
    uint8_t storer_lane = 0;
    bool is_written = false;
  };
  bool contains(uint64_t at, size_t n);
  bool follows(const Moment& earlier, const Moment& now) const;
  std::byte* change(uint64_t at, size_t n, const Thread& thread, bool is_update);

  std::vector<std::byte> bytes_;
  std::vector<Known> known_;
  uint32_t n_barriers_ = 0;
  const char* problem_ = "";
};

}  // namespace tq::kernels::ptx
