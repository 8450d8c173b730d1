#include "tests/kernels/cuda_emulated.h"

#include "kernels/cuda/cuda_backend.h"
#include "kernels/cuda/cuda_layers.h"
#include "kernels/cuda/cuda_select.h"
#include "tests/kernels/need.h"

namespace tq::kernels::test {

std::unique_ptr<DeviceAttention> make_emulated_attention(const AttentionOptions& options) {
  return need(cuda::make_device_attention(options, nullptr));
}

std::unique_ptr<DeviceLayers> make_emulated_layers() { return cuda::make_cuda_layers(nullptr); }
std::unique_ptr<DeviceSelect> make_emulated_select() { return cuda::make_cuda_select(nullptr); }

}  // namespace tq::kernels::test
