#pragma once
// The tables of `turboquant-bench attention --device cuda`, on whatever device kernels/cuda/ has
// and beside whatever stands for LibTorch. One thread.

#include <nlohmann/json_fwd.hpp>

#include "bench/cuda/device_bench.h"
#include "bench/cuda/device_contest.h"
#include "config/result.h"

namespace tq::bench {

struct DevicePeer {
  const char* libtorch;  // its version
  MakeSdpa make_sdpa;
};

// Prints a context at a time; returns the figures.
Result<nlohmann::json> measure_contexts(const DeviceBenchOptions& options, const DevicePeer& peer);

}  // namespace tq::bench
