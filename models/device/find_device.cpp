#include "models/device/find_device.h"

#include "kernels/device_attention.h"
#include "models/device/torch_device.h"

namespace tq::models {
namespace {

Result<DeviceFacts> cuda_facts() {
  if (const std::string missing = kernels::missing_device_backend(); !missing.empty()) {
    return Error{Code::kUnsupported, "CUDA cannot be used: " + missing, "--device"};
  }
  return cuda_device_facts();
}

}  // namespace

Result<DeviceFacts> find_device(std::string_view wanted) {
  if (wanted != "cpu" && wanted != "cuda" && wanted != "auto") {
    return Error{Code::kInvalidArgument,
                 "unknown device '" + std::string(wanted) + "'; one of auto, cpu, cuda",
                 "--device"};
  }
  if (wanted == "cpu") return DeviceFacts{};
  Result<DeviceFacts> cuda = cuda_facts();
  if (cuda.ok() || wanted == "cuda") return cuda;
  return DeviceFacts{};
}

}  // namespace tq::models
