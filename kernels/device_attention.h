#pragma once
// DeviceAttention: a PagedAttention whose spans lie in the memory of a device, and the way there
// and back. Calls are put on one stream in order and return before they are done, except where they
// say so; an error of the device may come with a later call. Engine thread only.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "config/result.h"
#include "kernels/device_layers.h"
#include "kernels/kv_arena.h"
#include "kernels/paged_attention.h"

namespace tq::kernels {

class DeviceAttention : public PagedAttention {
 public:
  // Zeroed memory of the device. `what` is named where it cannot be had.
  virtual Result<KvArena::Region> allocate_bytes(std::string_view what, uint64_t n_bytes) = 0;
  // Between ordinary memory and the device's; both return when the copy is done.
  virtual Result<void> write(std::byte* to, std::span<const std::byte> from) = 0;
  virtual Result<void> read(std::span<std::byte> to, const std::byte* from) = 0;
  // Returns when everything before it is done.
  virtual Result<void> wait() = 0;
};

// make_backend() for those: "cuda", on this stream.
Result<std::unique_ptr<DeviceAttention>> make_device_backend(std::string_view name,
                                                             const AttentionOptions& options,
                                                             DeviceStream stream = nullptr);

}  // namespace tq::kernels
