#pragma once
// Weights of a model in a device's memory, as LibTorch tensors. Engine thread.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "config/engine_config.h"
#include "config/result.h"
#include "kernels/device_layers.h"
#include "models/device/torch_device.h"
#include "models/weights/weight_source.h"

namespace tq::models {

// What matrix products compute with. kAuto is bf16: a device has tensor cores for it.
kernels::ElementType element_type(ComputeType dtype) noexcept;
at::ScalarType scalar_type(kernels::ElementType type) noexcept;

// y = x W^T of matrices of the file, stacked, decoded, and rounded to the type.
class DeviceLinear {
 public:
  static Result<DeviceLinear> load(const WeightSource& source,
                                   const std::vector<std::string>& stems,
                                   int64_t n_inputs,
                                   kernels::ElementType type,
                                   const TorchDevice& device);

  // x [n, n_inputs], y [n, n_outputs], both of the weights' type.
  void forward(const at::Tensor& x, at::Tensor& y) const;
  // y is fp32, and so are the sums, which are not rounded before.
  void forward_f32(const at::Tensor& x, at::Tensor& y) const;

  const at::Tensor& weight() const noexcept { return weight_; }  // [n_outputs, n_inputs]
  uint64_t bytes() const;

 private:
  at::Tensor weight_;
  at::Tensor transposed_;  // a view of it
};

// fp32, [size].
at::Tensor upload_vector(const std::vector<float>& values, const TorchDevice& device);

// Bytes of all weights of a model once loaded, within a few per cent.
uint64_t device_weight_bytes(const WeightSource& source, ComputeType dtype);

}  // namespace tq::models
