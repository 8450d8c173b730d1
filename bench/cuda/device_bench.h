#pragma once
// `turboquant-bench attention --device cuda`: in builds with CUDA kernels and LibTorch. One thread.

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <vector>

#include "config/kv_config.h"
#include "config/result.h"

namespace tq::bench {

struct DeviceBenchOptions {
  std::vector<KvFormats> formats;  // bf16 first
  std::vector<int> contexts;
  int head_dim = 128;
  int n_kv_heads = 8;
  int group = 4;  // query heads per KV head
  int n_seqs = 1;
  int n_runs = 11;
  uint64_t seed = 1;
};

// Prints its table, a context at a time, and returns the figures. Without a device, or in a build
// for none, an Error that names --device.
Result<nlohmann::json> measure_on_device(const DeviceBenchOptions& options);

}  // namespace tq::bench
