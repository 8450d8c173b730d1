#pragma once
// DeviceSelect (kernels/device_select.h) on a CUDA device: checks, one copy there, the kernels of
// select.cu, one copy back. Engine thread only.

#include <memory>

#include "kernels/cuda/launch.h"
#include "kernels/device_select.h"

namespace tq::kernels::cuda {

std::unique_ptr<DeviceSelect> make_cuda_select(Stream stream);

}  // namespace tq::kernels::cuda
