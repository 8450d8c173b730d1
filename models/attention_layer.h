#pragma once
// AttentionLayer: projects hidden states to q, k, v, rotates q and k by position, appends k, v to
// the paged store, attends, and projects back. Knows nothing of codes: that is behind the seam.
// Engine thread only.

#include <ATen/core/Tensor.h>

#include <optional>
#include <string>
#include <vector>

#include "kernels/paged_attention.h"
#include "models/decoder.h"
#include "models/layers.h"
#include "models/rope.h"

namespace tq::models {

// What all layers of one step share.
struct StepContext {
  const DecoderInput* input = nullptr;
  std::vector<float> cosines;  // [n_tokens, rope_dim / 2]
  std::vector<float> sines;
};

class AttentionLayer {
 public:
  // prefix: "model.layers.3.self_attn". rope and attention outlive the layer.
  static Result<AttentionLayer> load(const WeightSource& source,
                                     const std::string& prefix,
                                     LayerIdx layer,
                                     const Compute& compute,
                                     const Rope& rope,
                                     kernels::PagedAttention& attention);

  // Largest magnitude of the keys' biases that could be kept out of the store; 0 without any.
  float key_bias_max() const noexcept;
  // From now on keys are appended without their bias, and attention is told of it. turns outlives
  // the layer.
  Result<void> keep_key_bias_out(const kernels::TileTurns& turns);

  // x, result [n_tokens, hidden].
  Result<at::Tensor> forward(const at::Tensor& x, const StepContext& step) const;

  uint64_t bytes() const noexcept;

 private:
  AttentionLayer(Linear qkv,
                 Linear out,
                 const ModelSpec& spec,
                 LayerIdx layer,
                 const Rope& rope,
                 kernels::PagedAttention& attention);

  Linear qkv_;  // q, k and v stacked
  Linear out_;
  std::optional<RmsNorm> q_norm_;  // per head, before RoPE
  std::optional<RmsNorm> k_norm_;
  int64_t n_heads_;
  int64_t n_kv_heads_;
  int64_t head_dim_;
  LayerIdx layer_;
  std::optional<kernels::KeyBias> key_bias_;
  const Rope* rope_;
  kernels::PagedAttention* attention_;
};

}  // namespace tq::models
