#pragma once
// The backend "cuda": kernels/paged_attention.h on a device. Every call is put on one stream; of
// those of a step, only plan() ever waits, for its staging memory or for more of any. Engine thread
// only.

#include <memory>

#include "config/result.h"
#include "kernels/cuda/launch.h"
#include "kernels/device_attention.h"

namespace tq::kernels::cuda {

// stream: null for the legacy default stream, which LibTorch works on unless told otherwise.
// Errors: a layout that is refused; no device.
Result<std::unique_ptr<DeviceAttention>> make_device_attention(const AttentionOptions& options,
                                                               Stream stream);

}  // namespace tq::kernels::cuda
