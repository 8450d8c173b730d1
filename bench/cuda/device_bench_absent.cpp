// `turboquant-bench attention --device cuda` of a build without CUDA kernels or without LibTorch.
#include <nlohmann/json.hpp>

#include "bench/cuda/device_bench.h"

namespace tq::bench {

Result<nlohmann::json> measure_on_device(const DeviceBenchOptions& /*options*/) {
  return Error{Code::kUnsupported,
               "this build measures no device: it lacks CUDA kernels or LibTorch; see `make cuda`",
               "--device"};
}

}  // namespace tq::bench
