// The CUDA backend's entry of a build with CUDA. Whether there is a device is asked once.
#include <string>

#include "kernels/backend_list.h"
#include "kernels/cuda/cuda_backend.h"
#include "kernels/cuda/cuda_layers.h"
#include "kernels/cuda/cuda_select.h"
#include "kernels/cuda/device.h"

namespace tq::kernels {
namespace {

Result<std::unique_ptr<DeviceAttention>> make_on_stream(const AttentionOptions& options,
                                                        DeviceStream stream) {
  return cuda::make_device_attention(options, static_cast<cuda::Stream>(stream));
}

std::unique_ptr<DeviceLayers> make_layers(DeviceStream stream) {
  return cuda::make_cuda_layers(static_cast<cuda::Stream>(stream));
}

std::unique_ptr<DeviceSelect> make_select(DeviceStream stream) {
  return cuda::make_cuda_select(static_cast<cuda::Stream>(stream));
}

}  // namespace

BackendEntry cuda_backend() noexcept {
  static const std::string missing = cuda::missing_device();
  return {.name = "cuda",
          .missing = missing,
          .make = nullptr,
          .make_on_device = make_on_stream,
          .make_layers = make_layers,
          .make_select = make_select,
          .layer = {}};
}

}  // namespace tq::kernels
