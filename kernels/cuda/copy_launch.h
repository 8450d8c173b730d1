#pragma once
// The kernel behind DeviceAttention::copy_blocks() (copy_blocks.cu), put on a stream. The call has
// been checked (kernels/block_copy.h). No CUDA header is needed here. Engine thread only.

#include "config/result.h"
#include "kernels/block_copy.h"
#include "kernels/cuda/launch.h"

namespace tq::kernels::cuda {

Result<void> launch_copy(const CopyCall& call, Stream stream);

}  // namespace tq::kernels::cuda
