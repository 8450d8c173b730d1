#include "models/attention_layer.h"

#include <ATen/ops/empty.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "models/tensor_bridge.h"

namespace tq::models {

AttentionLayer::AttentionLayer(Linear qkv,
                               Linear out,
                               const ModelSpec& spec,
                               LayerIdx layer,
                               const Rope& rope,
                               kernels::PagedAttention& attention)
    : qkv_(std::move(qkv)),
      out_(std::move(out)),
      n_heads_(spec.n_heads),
      n_kv_heads_(spec.n_kv_heads),
      head_dim_(spec.head_dim),
      layer_(layer),
      rope_(&rope),
      attention_(&attention) {}

Result<AttentionLayer> AttentionLayer::load(const WeightSource& source,
                                            const std::string& prefix,
                                            LayerIdx layer,
                                            const Compute& compute,
                                            const Rope& rope,
                                            kernels::PagedAttention& attention) {
  const ModelSpec& spec = source.spec();
  TQ_ASSIGN(auto qkv,
            Linear::load(source, {prefix + ".q_proj", prefix + ".k_proj", prefix + ".v_proj"},
                         spec.hidden, spec.qkv_bias, compute));
  TQ_ASSIGN(auto out, Linear::load(source, {prefix + ".o_proj"},
                                   int64_t{spec.n_heads} * spec.head_dim, false, compute));
  AttentionLayer loaded(std::move(qkv), std::move(out), spec, layer, rope, attention);
  if (spec.qk_norm) {
    TQ_ASSIGN(loaded.q_norm_,
              RmsNorm::load(source, prefix + ".q_norm.weight", spec.head_dim, spec.rms_eps));
    TQ_ASSIGN(loaded.k_norm_,
              RmsNorm::load(source, prefix + ".k_norm.weight", spec.head_dim, spec.rms_eps));
  }
  return loaded;
}

float AttentionLayer::key_bias_max() const noexcept {
  const std::span<const float> bias = qkv_.bias();
  if (bias.empty() || k_norm_) return 0.0f;  // a norm of the biased key is not a sum
  float largest = 0.0f;
  for (const float value : bias.subspan(static_cast<size_t>(n_heads_ * head_dim_),
                                        static_cast<size_t>(n_kv_heads_ * head_dim_))) {
    largest = std::max(largest, std::abs(value));
  }
  return largest;
}

Result<void> AttentionLayer::keep_key_bias_out(const kernels::TileTurns& turns) {
  const auto first = static_cast<size_t>(n_heads_ * head_dim_);
  const auto n = static_cast<size_t>(n_kv_heads_ * head_dim_);
  TQ_ASSIGN(key_bias_, kernels::KeyBias::create(qkv_.bias().subspan(first, n),
                                                static_cast<int>(n_kv_heads_), turns));
  qkv_.clear_bias(first, n);
  return {};
}

Result<at::Tensor> AttentionLayer::forward(const at::Tensor& x, const StepContext& step) const {
  const int64_t n_tokens = x.size(0);
  const int64_t q_size = n_heads_ * head_dim_;
  const int64_t kv_size = n_kv_heads_ * head_dim_;
  const at::Tensor qkv = qkv_.forward(x);
  at::Tensor q = qkv.narrow(1, 0, q_size).contiguous().view({n_tokens * n_heads_, head_dim_});
  at::Tensor k =
      qkv.narrow(1, q_size, kv_size).contiguous().view({n_tokens * n_kv_heads_, head_dim_});
  const at::Tensor v = qkv.narrow(1, q_size + kv_size, kv_size).contiguous();
  if (q_norm_) {
    q = q_norm_->forward(q);
    k = k_norm_->forward(k);
  }
  rope_->rotate(f32_span(q), n_heads_, step.cosines, step.sines);
  rope_->rotate(f32_span(k), n_kv_heads_, step.cosines, step.sines);

  const DecoderInput& input = *step.input;
  TQ_TRY(attention_->append({.plan = input.plan,
                             .arena = input.arena,
                             .layer = layer_,
                             .k = f32_span(k),
                             .v = f32_span(v)}));
  const at::Tensor attended = at::empty({n_tokens, q_size});
  TQ_TRY(attention_->attend({.plan = input.plan,
                             .arena = input.arena,
                             .layer = layer_,
                             .scale = 1.0f / std::sqrt(static_cast<float>(head_dim_)),
                             .key_bias = key_bias_ ? &*key_bias_ : nullptr,
                             .q = f32_span(q),
                             .out = f32_span(attended)}));
  return out_.forward(attended);
}

uint64_t AttentionLayer::bytes() const noexcept {
  return qkv_.bytes() + out_.bytes() + (q_norm_ ? q_norm_->bytes() + k_norm_->bytes() : 0) +
         (key_bias_ ? key_bias_->bytes() : 0);
}

}  // namespace tq::models
