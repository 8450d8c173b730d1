#pragma once
// DeviceCopy: the device's own copy of memory, the speed that others' are set beside. One thread.

#include <cstdint>

#include "config/result.h"
#include "kernels/cuda/recording.h"
#include "kernels/kv_arena.h"

namespace tq::bench {

class DeviceCopy {
 public:
  static Result<DeviceCopy> create(uint64_t n_bytes);

  uint64_t moved_bytes() const { return 2 * n_bytes_; }  // read and written by one copy
  Result<double> seconds(int n);                         // per copy, of n after one more

 private:
  DeviceCopy(uint64_t n_bytes,
             kernels::cuda::OwnStream stream,
             kernels::KvArena::Region from,
             kernels::KvArena::Region to,
             kernels::cuda::Recording recording);

  uint64_t n_bytes_;
  kernels::cuda::OwnStream stream_;  // first: outlives what works on it
  kernels::KvArena::Region from_;
  kernels::KvArena::Region to_;
  kernels::cuda::Recording recording_;
};

}  // namespace tq::bench
