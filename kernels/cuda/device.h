#pragma once
// What the backend asks of the CUDA runtime: memory, copies, a stream and marks on it. device.cu
// asks the runtime; tests put ordinary memory in its place. Engine thread only.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "config/result.h"
#include "kernels/cuda/launch.h"
#include "kernels/kv_arena.h"

namespace tq::kernels::cuda {

// Why this build's kernels cannot run here; empty where they can.
std::string missing_device();

// Zeroed memory of the device; `what` is named where it cannot be had.
Result<KvArena::Region> allocate_device(std::string_view what, uint64_t n_bytes);
// Ordinary memory that copies to and from the device do not wait for, and that kernels may use.
Result<KvArena::Region> allocate_pinned(uint64_t n_bytes);

// Puts a copy on the stream. Pinned memory must stay as it is until the stream has passed.
Result<void> copy(void* to, const void* from, size_t n_bytes, Stream stream);
Result<void> wait(Stream stream);

// A place on a stream that can be waited for.
class Mark {
 public:
  static Result<Mark> create();
  Mark(Mark&& other) noexcept;
  Mark& operator=(Mark&& other) noexcept;
  ~Mark();

  Result<void> set(Stream stream);
  Result<void> wait();  // returns at once where it was never set

 private:
  explicit Mark(void* event) : event_(event) {}
  void* event_;  // cudaEvent_t
};

}  // namespace tq::kernels::cuda
