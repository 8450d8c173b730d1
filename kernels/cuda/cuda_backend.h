#pragma once
// The backend "cuda": kernels/paged_attention.h on a device. Every call is put on one stream; of
// those of a step, only plan() ever waits, for its staging memory. Engine thread only.

#include <memory>

#include "config/result.h"
#include "kernels/cuda/launch.h"
#include "kernels/device_attention.h"

namespace tq::kernels::cuda {

// stream: null for the legacy default stream, which LibTorch works on unless told otherwise.
// Errors: head_dim not 64, 96, 128 or 256; no device.
Result<std::unique_ptr<DeviceAttention>> make_device_attention(const AttentionOptions& options,
                                                               Stream stream);

}  // namespace tq::kernels::cuda
