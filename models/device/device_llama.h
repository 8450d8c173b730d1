#pragma once
// models/llama.h on a device.

#include <memory>

#include "models/device/device_decoder.h"

namespace tq::models {

Result<std::unique_ptr<DeviceDecoder>> make_device_llama(const WeightSource& source,
                                                         const DeviceKernels& kernels,
                                                         const DeviceDecoderOptions& options);

}  // namespace tq::models
