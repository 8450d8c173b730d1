#pragma once
// The CUDA backend's own source on the CPU (simt/), for tests of what stands on it. Its device's
// memory is ordinary memory. One thread.

#include <memory>

#include "kernels/device_attention.h"
#include "kernels/device_layers.h"
#include "kernels/device_select.h"

namespace tq::kernels::test {

std::unique_ptr<DeviceAttention> make_emulated_attention(const AttentionOptions& options);
std::unique_ptr<DeviceLayers> make_emulated_layers();
std::unique_ptr<DeviceSelect> make_emulated_select();

}  // namespace tq::kernels::test
