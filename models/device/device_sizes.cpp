#include "models/device/device_sizes.h"

#include <string>

#include "kernels/device_layers.h"
#include "models/device/device_decoder.h"
#include "models/device/device_weights.h"

namespace tq::models {

int64_t q_width(const ModelSpec& spec) { return int64_t{spec.n_heads} * spec.head_dim; }

int64_t kv_width(const ModelSpec& spec) { return int64_t{spec.n_kv_heads} * spec.head_dim; }

int64_t qkv_width(const ModelSpec& spec) { return q_width(spec) + 2 * kv_width(spec); }

Result<void> check_device_sizes(const WeightSource& source) {
  const ModelSpec& spec = source.spec();
  if (spec.hidden % kernels::kDeviceSizeStep == 0 && spec.hidden <= kernels::kDeviceNormSizeMax &&
      spec.intermediate % kernels::kDeviceSizeStep == 0) {
    return {};
  }
  return Error{Code::kUnsupported,
               "on a device a model's hidden size is at most " +
                   std::to_string(kernels::kDeviceNormSizeMax) +
                   ", and it and the intermediate size are multiples of " +
                   std::to_string(kernels::kDeviceSizeStep) + "; they are " +
                   std::to_string(spec.hidden) + " and " + std::to_string(spec.intermediate),
               source.path()};
}

uint64_t device_workspace_bytes(const ModelSpec& spec,
                                ComputeType dtype,
                                int64_t n_tokens,
                                int64_t n_logits) {
  const int64_t of_type = 2 * spec.hidden + qkv_width(spec) + q_width(spec) + 3 * spec.intermediate;
  // Queries thrice: the attention backend keeps them rotated, and sums of their parts.
  const int64_t of_f32 = spec.hidden + 3 * q_width(spec) + 2 * kv_width(spec);
  const int64_t bytes = n_tokens * (of_type * kernels::element_bytes(element_type(dtype)) +
                                    of_f32 * static_cast<int64_t>(sizeof(float))) +
                        n_logits * spec.vocab_size * static_cast<int64_t>(sizeof(float));
  constexpr int64_t kLibraries = int64_t{256} << 20;  // cuBLAS, our plans, choices of tokens
  return static_cast<uint64_t>(bytes + kLibraries);
}

}  // namespace tq::models
