#include "bench/cuda/device_bench.h"

#include <memory>
#include <nlohmann/json.hpp>

#include "bench/cuda/device_tables.h"
#include "bench/cuda/sdpa_case.h"
#include "models/device/find_device.h"
#include "models/device/torch_device.h"

namespace tq::bench {

Result<nlohmann::json> measure_on_device(const DeviceBenchOptions& options) {
  TQ_TRY(models::find_device("cuda"));
  TQ_ASSIGN(const std::unique_ptr<models::TorchDevice> device, models::make_cuda_device());
  return measure_contexts(
      options, {.libtorch = libtorch_version(), .make_sdpa = [&](const SdpaShape& shape) {
                  return make_sdpa_cases(shape, *device);
                }});
}

}  // namespace tq::bench
