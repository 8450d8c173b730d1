#include "tests/kernels/ptx/shared_memory.h"

#include "tests/kernels/ptx/module.h"

namespace tq::kernels::ptx {

bool SharedMemory::contains(uint64_t at, size_t n) {
  if (at >= kSpaceStart && at - kSpaceStart + n <= bytes_.size()) return true;
  problem_ = "out of the block's shared memory";
  return false;
}

// Of accesses by different lanes.
bool SharedMemory::follows(const Moment& earlier, const Moment& now) const {
  if (earlier.n_barriers != now.n_barriers) return true;
  return earlier.warp == now.warp && earlier.n_meetings != now.n_meetings;
}

const std::byte* SharedMemory::read(uint64_t at, size_t n, const Thread& thread) {
  if (!contains(at, n)) return nullptr;
  const auto warp = static_cast<uint32_t>(thread.warp);
  const Moment now{n_barriers_, thread.n_meetings, warp};
  for (size_t i = at - kSpaceStart; i < at - kSpaceStart + n; ++i) {
    Known& known = known_[i];
    if (!known.is_written) {
      problem_ = "shared memory that nobody wrote";
      return nullptr;
    }
    const bool own = known.written.warp == warp && known.writer_lane == thread.lane;
    if (!own && !follows(known.written, now)) {
      problem_ = "no barrier between this read and another thread's write";
      return nullptr;
    }
    if (known.read.n_barriers != now.n_barriers) known.reader_warps = 0;
    if (known.read != now) known.reader_lanes = 0;
    known.read = now;
    known.reader_warps |= 1u << warp;
    known.reader_lanes |= 1u << thread.lane;
  }
  return bytes_.data() + (at - kSpaceStart);
}

std::byte* SharedMemory::write(uint64_t at, size_t n, const Thread& thread) {
  return change(at, n, thread, false);
}

std::byte* SharedMemory::update(uint64_t at, size_t n, const Thread& thread) {
  return change(at, n, thread, true);
}

std::byte* SharedMemory::change(uint64_t at, size_t n, const Thread& thread, bool is_update) {
  if (!contains(at, n)) return nullptr;
  const auto warp = static_cast<uint32_t>(thread.warp);
  const Moment now{n_barriers_, thread.n_meetings, warp};
  for (size_t i = at - kSpaceStart; i < at - kSpaceStart + n; ++i) {
    Known& known = known_[i];
    if (is_update && !known.is_written) {
      problem_ = "shared memory that nobody wrote";
      return nullptr;
    }
    const Moment& earlier = is_update ? known.stored : known.written;
    const int lane = is_update ? known.storer_lane : known.writer_lane;
    const bool own = earlier.warp == warp && lane == thread.lane;
    if (known.is_written && !own && !follows(earlier, now)) {
      problem_ = "no barrier between this write and another thread's";
      return nullptr;
    }
    const bool others = known.read.n_barriers == now.n_barriers &&
                        ((known.reader_warps & ~(1u << warp)) != 0 ||
                         (known.read == now && (known.reader_lanes & ~(1u << thread.lane)) != 0));
    if (others) {
      problem_ = "no barrier between this write and another thread's read";
      return nullptr;
    }
    known.written = now;
    known.writer_lane = static_cast<uint8_t>(thread.lane);
    known.is_written = true;
    if (is_update) continue;
    known.stored = now;
    known.storer_lane = known.writer_lane;
  }
  return bytes_.data() + (at - kSpaceStart);
}

}  // namespace tq::kernels::ptx
