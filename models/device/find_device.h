#pragma once
// Which device a model runs on. No LibTorch type. Any thread.

#include <cstdint>
#include <string>
#include <string_view>

#include "config/result.h"

namespace tq::models {

struct DeviceFacts {
  bool is_cuda = false;      // else the CPU, of which nothing more is told
  std::string name;          // "NVIDIA H100 80GB HBM3"
  uint64_t total_bytes = 0;  // of its memory
  uint64_t free_bytes = 0;   // at the moment
};

// "cpu", "cuda" or "auto", the best that this build and machine have. An Error says why the device
// that is asked for cannot be had.
Result<DeviceFacts> find_device(std::string_view wanted);

}  // namespace tq::models
