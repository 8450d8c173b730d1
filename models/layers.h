#pragma once
// Layers: what decoders are made of. Each loads its weights from a WeightSource by name and maps
// fp32 rows to fp32 rows, [n_rows, n] to [n_rows, m], in memory of the caller's. Engine thread
// only; immutable once the decoder is loaded.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "config/engine_config.h"
#include "config/ids.h"
#include "config/result.h"
#include "kernels/run_layer.h"
#include "models/weights/weight_source.h"

namespace tq::models {

// What every layer computes with.
struct Compute {
  ComputeType dtype = ComputeType::kF32;
  kernels::LayerRunner* runner = nullptr;  // outlives the layers
};

// y = x W^T (+ b). Several matrices of the file may be stacked (q, k, v; gate, up): one pass over
// x for those of one type.
class Linear {
 public:
  // names: matrices [*, n_inputs], stacked in this order; "<stem>.bias" is added where `with_bias`.
  static Result<Linear> load(const WeightSource& source,
                             const std::vector<std::string>& stems,
                             int64_t n_inputs,
                             bool with_bias,
                             const Compute& compute);

  void forward(std::span<const float> x, std::span<float> y) const;
  // Rows of a single matrix as activations: the look-up of an embedding. outputs are checked by the
  // caller.
  void rows(std::span<const TokenId> outputs, std::span<float> y) const;

  int64_t n_outputs() const noexcept { return n_outputs_; }
  std::span<const float> bias() const noexcept { return bias_; }  // [n_outputs], or empty
  // Zeros the biases of outputs [first, first + n).
  void clear_bias(size_t first, size_t n) noexcept {
    std::fill_n(bias_.begin() + static_cast<ptrdiff_t>(first), n, 0.0f);
  }
  uint64_t bytes() const noexcept;

 private:
  Linear(std::vector<kernels::PackedLinear> parts, std::vector<float> bias, const Compute& compute);

  std::vector<kernels::PackedLinear> parts_;  // of W, one below the other
  int64_t n_outputs_;                         // of all parts
  std::vector<float> bias_;                   // [n_outputs], or empty
  kernels::LayerRunner* runner_;
};

// x / rms(x) * w over the last dimension (kernels/layer_kernels.h).
class RmsNorm {
 public:
  static Result<RmsNorm> load(const WeightSource& source,
                              const std::string& name,
                              int64_t size,
                              float eps,
                              const Compute& compute);

  // delta, where there is one, is added to x first.
  void forward(std::span<float> x, std::span<const float> delta, std::span<float> y) const;
  // In place, on the calling thread, which may be any.
  void forward_inline(std::span<float> x) const;
  uint64_t bytes() const noexcept { return weight_.size() * sizeof(float); }

 private:
  RmsNorm(std::vector<float> weight, float eps, const Compute& compute)
      : weight_(std::move(weight)), eps_(eps), runner_(compute.runner) {}

  std::vector<float> weight_;
  float eps_;
  kernels::LayerRunner* runner_;
};

}  // namespace tq::models
