#include "models/device/device_weights.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/mm.h>

#include <algorithm>

#include "models/find_weights.h"

namespace tq::models {
namespace {

at::Tensor view_of(std::vector<float>& values, at::IntArrayRef shape) {
  return at::from_blob(values.data(), shape, at::kFloat);
}

// Slices of some rows, so that loading needs little memory beside the weights.
Result<void> upload_rows(const WeightView& view, const at::Tensor& rows) {
  constexpr int64_t kSliceElements = int64_t{1} << 22;
  const int64_t n_inputs = view.shape[1];
  const int64_t slice_rows = std::max<int64_t>(1, kSliceElements / n_inputs);
  std::vector<float> slice;
  for (int64_t first = 0; first < view.shape[0]; first += slice_rows) {
    const int64_t n = std::min(slice_rows, view.shape[0] - first);
    slice.resize(static_cast<size_t>(n * n_inputs));
    TQ_TRY(dequantize(view, first * n_inputs, slice));
    // Rounded here: half the bytes go to the device. Returns when they are there.
    rows.narrow(0, first, n).copy_(view_of(slice, {n, n_inputs}).to(rows.scalar_type()));
  }
  return {};
}

}  // namespace

kernels::ElementType element_type(ComputeType dtype) noexcept {
  return dtype == ComputeType::kF32 ? kernels::ElementType::kF32 : kernels::ElementType::kBf16;
}

at::ScalarType scalar_type(kernels::ElementType type) noexcept {
  switch (type) {
    case kernels::ElementType::kF32: return at::kFloat;
    case kernels::ElementType::kF16: return at::kHalf;
    case kernels::ElementType::kBf16: return at::kBFloat16;
  }
  return at::kFloat;
}

at::Tensor upload_vector(const std::vector<float>& values, const TorchDevice& device) {
  at::Tensor uploaded = at::empty({static_cast<int64_t>(values.size())},
                                  at::TensorOptions().dtype(at::kFloat).device(device.device()));
  std::vector<float> source(values);
  uploaded.copy_(view_of(source, {static_cast<int64_t>(source.size())}));
  return uploaded;
}

Result<DeviceLinear> DeviceLinear::load(const WeightSource& source,
                                        const std::vector<std::string>& stems,
                                        int64_t n_inputs,
                                        kernels::ElementType type,
                                        const TorchDevice& device) {
  TQ_ASSIGN(const std::vector<WeightView> views, find_matrices(source, stems, n_inputs));
  int64_t n_outputs = 0;
  for (const WeightView& view : views) n_outputs += view.shape[0];
  DeviceLinear loaded;
  loaded.weight_ = at::empty({n_outputs, n_inputs},
                             at::TensorOptions().dtype(scalar_type(type)).device(device.device()));
  int64_t first = 0;
  for (const WeightView& view : views) {
    TQ_TRY(upload_rows(view, loaded.weight_.narrow(0, first, view.shape[0])));
    first += view.shape[0];
    source.release(view);
  }
  loaded.transposed_ = loaded.weight_.t();
  return loaded;
}

void DeviceLinear::forward(const at::Tensor& x, at::Tensor& y) const {
  at::mm_out(y, x, transposed_);
}

void DeviceLinear::forward_f32(const at::Tensor& x, at::Tensor& y) const {
  if (weight_.scalar_type() == at::kFloat) {
    at::mm_out(y, x, transposed_);
  } else if (weight_.is_cuda()) {
    at::mm_out(y, x, transposed_, at::kFloat);
  } else {  // has no product of 16-bit matrices with fp32 sums
    y.copy_(at::mm(x.to(at::kFloat), transposed_.to(at::kFloat)));
  }
}

uint64_t DeviceLinear::bytes() const { return weight_.nbytes(); }

uint64_t device_weight_bytes(const WeightSource& source, ComputeType dtype) {
  const auto bytes_each = static_cast<uint64_t>(kernels::element_bytes(element_type(dtype)));
  uint64_t bytes = 0;
  for (const std::string& name : source.names()) {
    const auto view = source.find(name);
    if (!view) continue;
    bytes += static_cast<uint64_t>(view->n_elements()) *
             (view->shape.size() == 2 ? bytes_each : sizeof(float));
  }
  return bytes;
}

}  // namespace tq::models
