// A build whose LibTorch has no CUDA.
#include "models/device/torch_device.h"

namespace tq::models {
namespace {

Error absent() {
  return Error{Code::kUnsupported,
               "this build's LibTorch has no CUDA; build with LIBTORCH= a LibTorch that has it",
               "--device"};
}

}  // namespace

Result<DeviceFacts> cuda_device_facts() { return absent(); }
Result<std::unique_ptr<TorchDevice>> make_cuda_device() { return absent(); }

}  // namespace tq::models
