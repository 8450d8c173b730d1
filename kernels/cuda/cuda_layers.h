#pragma once
// DeviceLayers (kernels/device_layers.h) on a CUDA device: checks of what a call names, then its
// kernel (layers.cu). What lies in the device's memory is not looked at. Engine thread only.

#include <memory>

#include "kernels/cuda/launch.h"
#include "kernels/device_layers.h"

namespace tq::kernels::cuda {

std::unique_ptr<DeviceLayers> make_cuda_layers(Stream stream);

}  // namespace tq::kernels::cuda
