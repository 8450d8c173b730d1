#pragma once
// Widths of a decoder's activations on a device, and what sizes its kernels take. Pure; any thread.

#include <cstdint>

#include "config/result.h"
#include "models/model_spec.h"
#include "models/weights/weight_source.h"

namespace tq::models {

int64_t q_width(const ModelSpec& spec);
int64_t kv_width(const ModelSpec& spec);
int64_t qkv_width(const ModelSpec& spec);

// Said at load, not by the first step.
Result<void> check_device_sizes(const WeightSource& source);

}  // namespace tq::models
