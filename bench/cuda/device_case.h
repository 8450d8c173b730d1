#pragma once
// DeviceCase: one shape of decode on the device: sequences of one context length, one row each, in
// layers enough that a pass over all of them finds nothing in the L2 cache. What the store holds is
// random. One thread.

#include <cstdint>
#include <functional>
#include <memory>
#include <utility>

#include "config/kv_config.h"
#include "config/result.h"
#include "kernels/cuda/recording.h"
#include "kernels/device_attention.h"

namespace tq::bench {

struct DeviceCaseOptions {
  KvFormats formats{};
  int head_dim = 128;
  int n_kv_heads = 8;
  int group = 4;  // query heads per KV head
  int n_seqs = 1;
  int context = 4096;
  uint64_t read_bytes_min = 0;  // of a pass over all layers
  uint64_t seed = 1;
};

// Layers enough for a pass over them to read so much, within reason.
int layers_to_read(uint64_t read_bytes_min, uint64_t layer_bytes);

class DeviceCase {
 public:
  static Result<std::unique_ptr<DeviceCase>> create(const DeviceCaseOptions& options);

  const DeviceCaseOptions& options() const { return options_; }
  int n_layers() const { return backend_->layout().shape().n_layers; }
  uint64_t layer_bytes() const { return layer_bytes_; }  // that one attend() must read

  // Seconds per call, of n passes over all layers.
  Result<double> attend_seconds(int n);
  Result<double> append_seconds(int n);
  // Seconds to seal one block in all layers, waiting included.
  Result<double> seal_seconds(int n);

 private:
  DeviceCase(const DeviceCaseOptions& options,
             kernels::cuda::OwnStream stream,
             std::unique_ptr<kernels::DeviceAttention> backend,
             kernels::KvArena arena)
      : options_(options),
        stream_(std::move(stream)),
        backend_(std::move(backend)),
        arena_(std::move(arena)) {}

  Result<void> fill();
  Result<void> plan();
  Result<kernels::KvArena::Region> rows(size_t n);
  Result<double> play(const std::function<Result<void>()>& put, int n);

  DeviceCaseOptions options_;
  kernels::cuda::OwnStream stream_;  // first: outlives what works on it
  std::unique_ptr<kernels::DeviceAttention> backend_;
  kernels::KvArena arena_;
  uint64_t layer_bytes_ = 0;
  const kernels::AttnPlan* plan_ = nullptr;
  kernels::KvArena::Region q_{nullptr, nullptr};
  kernels::KvArena::Region k_{nullptr, nullptr};
  kernels::KvArena::Region out_{nullptr, nullptr};
};

}  // namespace tq::bench
