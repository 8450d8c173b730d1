#pragma once
// AttentionLayer: projects hidden states to q, k, v, rotates q and k by position, appends k, v to
// the paged store, attends, and projects back. Knows nothing of codes: that is behind the seam.
// Engine thread only.

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "kernels/paged_attention.h"
#include "models/decoder.h"
#include "models/layers.h"
#include "models/rope.h"
#include "models/row_buffer.h"

namespace tq::models {

// Activations of attention, reused by every layer and step.
struct AttentionRows {
  explicit AttentionRows(const ModelSpec& spec)
      : qkv(spec.head_dim * (spec.n_heads + 2 * spec.n_kv_heads)),
        q(spec.head_dim * spec.n_heads),
        k(spec.head_dim * spec.n_kv_heads),
        v(spec.head_dim * spec.n_kv_heads),
        attended(spec.head_dim * spec.n_heads) {}

  RowBuffer qkv;
  RowBuffer q, k, v;  // parts of qkv; not used for a single row
  RowBuffer attended;
};

// What all layers of one step share.
struct StepContext {
  const DecoderInput* input = nullptr;
  AttentionRows* rows = nullptr;
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

  // x, y [n_tokens, hidden].
  Result<void> forward(std::span<const float> x, const StepContext& step, std::span<float> y) const;

  uint64_t bytes() const noexcept;

 private:
  // [n_tokens, heads, head_dim]
  struct Heads {
    std::span<float> q, k, v;
  };
  struct Separation;
  Heads separate(const StepContext& step, std::span<float> qkv) const;
  void separate_rows(const Separation& separation, int64_t begin, int64_t end) const;

  AttentionLayer(Linear qkv,
                 Linear out,
                 const ModelSpec& spec,
                 LayerIdx layer,
                 const Rope& rope,
                 const Compute& compute,
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
  kernels::LayerRunner* runner_;
  kernels::PagedAttention* attention_;
};

}  // namespace tq::models
