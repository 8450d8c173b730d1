#pragma once
// DeviceAttention: a PagedAttention whose spans lie in the memory of a device, and the way there
// and back. Calls are put on one stream in order and return before they are done, except where they
// say so; an error of the device may come with a later call. That a row which seal() coded holds
// NaN or infinity comes with the next read() or wait(), and once. Engine thread only.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "config/result.h"
#include "kernels/block_copy.h"
#include "kernels/device_layers.h"
#include "kernels/key_bias.h"
#include "kernels/kv_arena.h"
#include "kernels/paged_attention.h"

namespace tq::kernels {

class DeviceAttention : public PagedAttention {
 public:
  // attend() with rows of `out`, [n_tokens, n_heads, head_dim], in this type, each number rounded
  // once, to nearest even; fp16 above 65504 is infinity. call.out is not used.
  virtual Result<void> attend_to(const AttendCall& call, ElementType type, void* out) = 0;
  // Brings a key bias to the device, where attend() looks for it; once for each, at load.
  virtual Result<void> upload(const KeyBias& bias) = 0;
  // Zeroed memory of the device. `what` is named where it cannot be had.
  virtual Result<KvArena::Region> allocate_bytes(std::string_view what, uint64_t n_bytes) = 0;
  // Between ordinary memory and the device's; both return when the copy is done.
  virtual Result<void> write(std::byte* to, std::span<const std::byte> from) = 0;
  virtual Result<void> read(std::span<std::byte> to, const std::byte* from) = 0;
  // An arena in ordinary memory, of any sizes, that copy_blocks() reaches. Not cleared.
  virtual Result<KvArena> allocate_host(PoolSizes sizes) = 0;
  // Between an arena of allocate() and one of allocate_host(), either way. Put on the stream like
  // all else: both arenas must stay, and who looks at the host's waits before.
  virtual Result<void> copy_blocks(const CopyCall& call) = 0;
  // Returns when everything before it is done.
  virtual Result<void> wait() = 0;
};

// Why this build and machine have no device backend; empty where they have one.
std::string missing_device_backend();

// make_backend() for those: "cuda", on this stream.
Result<std::unique_ptr<DeviceAttention>> make_device_backend(std::string_view name,
                                                             const AttentionOptions& options,
                                                             DeviceStream stream = nullptr);

}  // namespace tq::kernels
