#pragma once
// cu_try(): a CUDA status as a Result. For files that nvcc compiles. Any thread.

#include <cuda_runtime.h>

#include <string>
#include <string_view>

#include "config/result.h"

namespace tq::kernels::cuda {

inline Result<void> cu_try(cudaError_t status, std::string_view doing) {
  if (status == cudaSuccess) return {};
  return Error{status == cudaErrorMemoryAllocation ? Code::kIo : Code::kInternal,
               "CUDA, " + std::string(doing) + ": " + cudaGetErrorString(status), "--backend"};
}

}  // namespace tq::kernels::cuda
