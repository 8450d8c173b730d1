#pragma once
// Layers: what decoders are made of. Each loads its weights from a WeightSource by name and maps
// [n_tokens, n] fp32 tensors to [n_tokens, m]. Engine thread only; immutable once the
// decoder is loaded.

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "config/engine_config.h"
#include "config/ids.h"
#include "config/result.h"
#include "kernels/run_linear.h"
#include "models/weights/weight_source.h"

namespace tq::models {

// What every layer computes with.
struct Compute {
  ComputeType dtype = ComputeType::kF32;
  kernels::LinearFn linear = nullptr;
  kernels::cpu::ThreadPool* pool = nullptr;  // outlives the layers
};

// y = x W^T (+ b). Several matrices of the file may be stacked (q, k, v; gate, up): one pass over
// x.
class Linear {
 public:
  // names: matrices [*, n_inputs], stacked in this order; "<stem>.bias" is added where `with_bias`.
  static Result<Linear> load(const WeightSource& source,
                             const std::vector<std::string>& stems,
                             int64_t n_inputs,
                             bool with_bias,
                             const Compute& compute);

  at::Tensor forward(const at::Tensor& x) const;
  // Rows of W as activations: the look-up of an embedding. tokens are checked by the caller.
  at::Tensor rows(std::span<const TokenId> outputs) const;

  int64_t n_outputs() const noexcept { return weights_.n_outputs(); }
  std::span<const float> bias() const noexcept { return bias_; }  // [n_outputs], or empty
  // Zeros the biases of outputs [first, first + n).
  void clear_bias(size_t first, size_t n) noexcept {
    std::fill_n(bias_.begin() + static_cast<ptrdiff_t>(first), n, 0.0f);
  }
  uint64_t bytes() const noexcept { return weights_.bytes() + bias_.size() * sizeof(float); }

 private:
  Linear(kernels::PackedLinear weights, std::vector<float> bias, const Compute& compute)
      : weights_(std::move(weights)), bias_(std::move(bias)), compute_(compute) {}

  kernels::PackedLinear weights_;
  std::vector<float> bias_;  // [n_outputs], or empty
  Compute compute_;
};

// x / rms(x) * w over the last dimension (arXiv 1910.07467).
class RmsNorm {
 public:
  static Result<RmsNorm> load(const WeightSource& source,
                              const std::string& name,
                              int64_t size,
                              float eps);

  at::Tensor forward(const at::Tensor& x) const;
  uint64_t bytes() const noexcept { return weight_.numel() * sizeof(float); }

 private:
  RmsNorm(at::Tensor weight, float eps) : weight_(std::move(weight)), eps_(eps) {}

  at::Tensor weight_;
  float eps_;
};

}  // namespace tq::models
