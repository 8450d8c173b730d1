#include "models/layers.h"

#include <utility>

#include "config/check.h"
#include "models/find_weights.h"
#include "models/packed_weights.h"

namespace tq::models {

Result<Linear> Linear::load(const WeightSource& source,
                            const std::vector<std::string>& stems,
                            int64_t n_inputs,
                            bool with_bias,
                            const Compute& compute) {
  TQ_ASSIGN(const std::vector<WeightView> views, find_matrices(source, stems, n_inputs));
  TQ_ASSIGN(auto parts, pack(views, compute.dtype));
  for (const WeightView& view : views) source.release(view);
  std::vector<float> bias;
  if (with_bias) {
    TQ_ASSIGN(bias, load_biases(source, stems, views));
  }
  return Linear(std::move(parts), std::move(bias), compute);
}

Linear::Linear(std::vector<kernels::PackedLinear> parts,
               std::vector<float> bias,
               const Compute& compute)
    : parts_(std::move(parts)), n_outputs_(0), bias_(std::move(bias)), runner_(compute.runner) {
  for (const kernels::PackedLinear& part : parts_) n_outputs_ += part.n_outputs();
}

uint64_t Linear::bytes() const noexcept {
  uint64_t bytes = bias_.size() * sizeof(float);
  for (const kernels::PackedLinear& part : parts_) bytes += part.bytes();
  return bytes;
}

void Linear::forward(std::span<const float> x, std::span<float> y) const {
  const auto n_rows = static_cast<int64_t>(x.size()) / parts_.front().n_inputs();
  TQ_CHECK(static_cast<int64_t>(y.size()) == n_rows * n_outputs(), "linear layer: rows", x.size(),
           y.size(), n_outputs());
  size_t first_output = 0;
  for (const kernels::PackedLinear& part : parts_) {
    runner_->linear({.weights = &part,
                     .x = x,
                     .y = y.subspan(first_output),
                     .y_stride = n_outputs(),
                     .n_rows = n_rows});
    first_output += static_cast<size_t>(part.n_outputs());
  }
  if (bias_.empty()) return;
  for (int64_t row = 0; row < n_rows; ++row) {
    float* y_row = y.data() + row * n_outputs();
    for (size_t i = 0; i < bias_.size(); ++i) y_row[i] += bias_[i];
  }
}

void Linear::rows(std::span<const TokenId> outputs, std::span<float> y) const {
  TQ_CHECK(parts_.size() == 1, "rows of stacked matrices", parts_.size());
  const kernels::PackedLinear& weights = parts_.front();
  const auto n_inputs = static_cast<size_t>(weights.n_inputs());
  for (size_t i = 0; i < outputs.size(); ++i) {
    weights.unpack_row(outputs[i], y.subspan(i * n_inputs, n_inputs));
  }
}

Result<RmsNorm> RmsNorm::load(const WeightSource& source,
                              const std::string& name,
                              int64_t size,
                              float eps,
                              const Compute& compute) {
  TQ_ASSIGN(auto weight, load_vector(source, name, size));
  return RmsNorm(std::move(weight), eps, compute);
}

void RmsNorm::forward(std::span<float> x, std::span<const float> delta, std::span<float> y) const {
  runner_->norm({.x = x, .delta = delta, .weight = weight_, .y = y, .eps = eps_});
}

void RmsNorm::forward_inline(std::span<float> x) const {
  runner_->kernels().norm({.x = x,
                           .delta = {},
                           .weight = weight_,
                           .y = x,
                           .eps = eps_,
                           .row_begin = 0,
                           .row_end = static_cast<int64_t>(x.size() / weight_.size())});
}

}  // namespace tq::models
