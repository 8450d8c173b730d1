#pragma once
// DeviceRows: the memory of one activation on a device, kept from step to step. StepInputs: the
// integers of a step on their way there. Engine thread only.

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <cstdint>
#include <span>

#include "config/check.h"

namespace tq::models {

class DeviceRows {
 public:
  DeviceRows(int64_t width, at::TensorOptions options) : width_(width), options_(options) {}

  // [n_rows, width], contents undefined; valid until the next call for more rows.
  at::Tensor rows(int64_t n_rows) {
    if (!memory_.defined() || n_rows > memory_.size(0)) {
      memory_ = at::Tensor();  // before more is asked for
      memory_ = at::empty({n_rows, width_}, options_);
    }
    return memory_.narrow(0, 0, n_rows);
  }

 private:
  int64_t width_;
  at::TensorOptions options_;
  at::Tensor memory_;
};

// The elements of a contiguous fp32 tensor on a device, for our kernels: not to be read here.
inline std::span<float> device_span(const at::Tensor& tensor) {
  TQ_CHECK(tensor.scalar_type() == at::kFloat && tensor.is_contiguous(),
           "expected a contiguous fp32 tensor, not", tensor.scalar_type());
  return {tensor.data_ptr<float>(), static_cast<size_t>(tensor.numel())};
}

// Lists of integers, one copy for all of them. Ordinary memory is pinned where the device can copy
// from it meanwhile: the caller waits for the step before it begins another.
class StepInputs {
 public:
  explicit StepInputs(at::Device device)
      : host_(1, at::TensorOptions().dtype(at::kInt).pinned_memory(device.is_cuda())),
        device_(1, at::TensorOptions().dtype(at::kInt).device(device)) {}

  // Begins a step with room for so many integers. What add() returns depends on the order of calls
  // alone, until a step wants more room than any before.
  void reset(size_t n) {
    host_rows_ = host_.rows(static_cast<int64_t>(std::max<size_t>(n, 1)));
    device_rows_ = device_.rows(host_rows_.size(0));
    used_ = 0;
  }
  // Where they will be on the device after send(); zeros follow up to n.
  const int32_t* add(std::span<const int32_t> values, size_t n) {
    const int64_t begin = used_;
    used_ += static_cast<int64_t>(std::max(values.size(), n));
    TQ_CHECK(used_ <= host_rows_.size(0), "more integers than there is room for", used_);
    int32_t* const to = host_rows_.data_ptr<int32_t>() + begin;
    std::fill(std::copy(values.begin(), values.end(), to), to + (used_ - begin), 0);
    return at(begin);
  }
  // The integer at this place of the step.
  const int32_t* at(int64_t place) const { return device_rows_.const_data_ptr<int32_t>() + place; }
  void send() { device_rows_.copy_(host_rows_, /*non_blocking=*/true); }

 private:
  DeviceRows host_;
  DeviceRows device_;
  at::Tensor host_rows_;
  at::Tensor device_rows_;
  int64_t used_ = 0;
};

}  // namespace tq::models
