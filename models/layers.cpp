#include "models/layers.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/rms_norm.h>

#include <algorithm>
#include <utility>

#include "models/packed_weights.h"
#include "models/tensor_bridge.h"

namespace tq::models {
namespace {

Result<WeightView> find_weight(const WeightSource& source, const std::string& name) {
  auto found = source.find(name);
  if (!found) return Error{Code::kCorrupt, "no tensor '" + name + "'", source.path()};
  return *std::move(found);
}

Result<std::vector<float>> load_vector(const WeightSource& source,
                                       const std::string& name,
                                       int64_t size) {
  TQ_ASSIGN(const WeightView view, find_weight(source, name));
  if (view.n_elements() != size) {
    return Error{Code::kCorrupt,
                 "tensor '" + name + "' has " + std::to_string(view.n_elements()) +
                     " elements, expected " + std::to_string(size),
                 source.path()};
  }
  std::vector<float> values(static_cast<size_t>(size));
  TQ_TRY(dequantize(view, 0, values));
  return values;
}

}  // namespace

Result<Linear> Linear::load(const WeightSource& source,
                            const std::vector<std::string>& stems,
                            int64_t n_inputs,
                            bool with_bias,
                            const Compute& compute) {
  std::vector<WeightView> views;
  for (const std::string& stem : stems) {
    TQ_ASSIGN(WeightView view, find_weight(source, stem + ".weight"));
    if (view.shape.size() != 2 || view.shape[1] != n_inputs) {
      return Error{
          Code::kCorrupt,
          "tensor '" + view.name + "' is no matrix with " + std::to_string(n_inputs) + " columns",
          source.path()};
    }
    views.push_back(std::move(view));
  }
  TQ_ASSIGN(auto packed, pack(views, compute.dtype));
  std::vector<float> bias;
  for (size_t i = 0; with_bias && i < views.size(); ++i) {
    TQ_ASSIGN(const auto part, load_vector(source, stems[i] + ".bias", views[i].shape[0]));
    bias.insert(bias.end(), part.begin(), part.end());
  }
  return Linear(std::move(packed), std::move(bias), compute);
}

at::Tensor Linear::forward(const at::Tensor& x) const {
  const int64_t n_rows = x.size(0);
  at::Tensor y = at::empty({n_rows, n_outputs()});
  const std::span<float> out = f32_span(y);
  const kernels::LinearCall whole{.weights = &weights_,
                                  .x = f32_span(x),
                                  .y = out,
                                  .n_rows = n_rows,
                                  .panel_begin = 0,
                                  .panel_end = weights_.n_panels()};
  kernels::run_linear(whole, compute_.linear, *compute_.pool);
  if (!bias_.empty()) {
    for (int64_t row = 0; row < n_rows; ++row) {
      float* y_row = out.data() + row * n_outputs();
      for (size_t i = 0; i < bias_.size(); ++i) y_row[i] += bias_[i];
    }
  }
  return y;
}

at::Tensor Linear::rows(std::span<const TokenId> outputs) const {
  const auto n_inputs = static_cast<size_t>(weights_.n_inputs());
  at::Tensor y = at::empty({static_cast<int64_t>(outputs.size()), weights_.n_inputs()});
  const std::span<float> out = f32_span(y);
  for (size_t i = 0; i < outputs.size(); ++i) {
    weights_.unpack_row(outputs[i], out.subspan(i * n_inputs, n_inputs));
  }
  return y;
}

Result<RmsNorm> RmsNorm::load(const WeightSource& source,
                              const std::string& name,
                              int64_t size,
                              float eps) {
  TQ_ASSIGN(const auto values, load_vector(source, name, size));
  at::Tensor weight = at::empty({size});
  std::copy(values.begin(), values.end(), f32_span(weight).begin());
  return RmsNorm(std::move(weight), eps);
}

at::Tensor RmsNorm::forward(const at::Tensor& x) const {
  return at::rms_norm(x, weight_.sizes(), weight_, eps_);
}

}  // namespace tq::models
