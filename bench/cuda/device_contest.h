#pragma once
// One shape of decode on the device: the store in each format, LibTorch's kernels and a plain copy,
// all in memory at once, taking turns. One thread.

#include <cstdint>
#include <functional>
#include <vector>

#include "bench/cuda/device_case.h"
#include "bench/cuda/device_report.h"
#include "bench/cuda/sdpa_case.h"
#include "config/kv_config.h"
#include "config/result.h"

namespace tq::bench {

struct ContestOptions {
  DeviceCaseOptions shape;         // but for the format
  std::vector<KvFormats> formats;  // bf16 first
  uint64_t copy_bytes = 0;
  int n_rounds = 11;
  int n_passes = 10;  // over all layers, timed together
};

using MakeSdpa = std::function<Result<SdpaCases>(const SdpaShape& shape)>;

Result<DeviceContest> measure_contest(const ContestOptions& options, const MakeSdpa& make_sdpa);

}  // namespace tq::bench
