#pragma once
// cu_try(): a CUDA status as a Result. For files that nvcc compiles. Any thread.
//
// kIo: no memory. kInternal: what was asked for cannot be. Anything else is a fault of a kernel or
// of the device, after which CUDA refuses all further work of the process: kUnavailable.

#include <cuda_runtime.h>

#include <string>
#include <string_view>

#include "config/result.h"

namespace tq::kernels::cuda {

inline Code code_of(cudaError_t status) {
  switch (status) {
    case cudaErrorMemoryAllocation: return Code::kIo;
    case cudaErrorInvalidValue:
    case cudaErrorInvalidConfiguration:
    case cudaErrorInvalidResourceHandle:
    case cudaErrorNoKernelImageForDevice:
    case cudaErrorLaunchOutOfResources: return Code::kInternal;
    default: return Code::kUnavailable;
  }
}

inline Result<void> cu_try(cudaError_t status, std::string_view doing) {
  if (status == cudaSuccess) return {};
  return Error{code_of(status), "CUDA, " + std::string(doing) + ": " + cudaGetErrorString(status),
               "--backend"};
}

}  // namespace tq::kernels::cuda
