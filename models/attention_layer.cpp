#include "models/attention_layer.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "models/find_weights.h"

namespace tq::models {

AttentionLayer::AttentionLayer(Linear qkv,
                               Linear out,
                               const ModelSpec& spec,
                               LayerIdx layer,
                               const Rope& rope,
                               const Compute& compute,
                               kernels::PagedAttention& attention)
    : qkv_(std::move(qkv)),
      out_(std::move(out)),
      n_heads_(spec.n_heads),
      n_kv_heads_(spec.n_kv_heads),
      head_dim_(spec.head_dim),
      layer_(layer),
      rope_(&rope),
      runner_(compute.runner),
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
  AttentionLayer loaded(std::move(qkv), std::move(out), spec, layer, rope, compute, attention);
  if (spec.qk_norm) {
    TQ_ASSIGN(loaded.q_norm_, RmsNorm::load(source, prefix + ".q_norm.weight", spec.head_dim,
                                            spec.rms_eps, compute));
    TQ_ASSIGN(loaded.k_norm_, RmsNorm::load(source, prefix + ".k_norm.weight", spec.head_dim,
                                            spec.rms_eps, compute));
  }
  return loaded;
}

float AttentionLayer::key_bias_max() const noexcept {
  const std::span<const float> bias = qkv_.bias();
  if (bias.empty() || k_norm_) return 0.0f;  // a norm of the biased key is not a sum
  return largest_magnitude(bias.subspan(static_cast<size_t>(n_heads_ * head_dim_),
                                        static_cast<size_t>(n_kv_heads_ * head_dim_)));
}

Result<void> AttentionLayer::keep_key_bias_out(const kernels::TileTurns& turns) {
  const auto first = static_cast<size_t>(n_heads_ * head_dim_);
  const auto n = static_cast<size_t>(n_kv_heads_ * head_dim_);
  TQ_ASSIGN(key_bias_, kernels::KeyBias::create(qkv_.bias().subspan(first, n),
                                                static_cast<int>(n_kv_heads_), turns));
  qkv_.clear_bias(first, n);
  return {};
}

struct AttentionLayer::Separation {
  const AttentionLayer* layer;
  const StepContext* step;
  std::span<const float> qkv;  // empty where the heads lie in it
  Heads heads;
};

void AttentionLayer::separate_rows(const Separation& separation, int64_t begin, int64_t end) const {
  const auto part = [&](std::span<float> rows, int64_t n_heads) {
    const auto size = static_cast<size_t>(n_heads * head_dim_);
    return rows.subspan(static_cast<size_t>(begin) * size, static_cast<size_t>(end - begin) * size);
  };
  const std::span<float> q = part(separation.heads.q, n_heads_);
  const std::span<float> k = part(separation.heads.k, n_kv_heads_);
  const std::span<float> v = part(separation.heads.v, n_kv_heads_);
  if (!separation.qkv.empty()) {
    const int64_t q_size = n_heads_ * head_dim_;
    const int64_t kv_size = n_kv_heads_ * head_dim_;
    const float* from = separation.qkv.data() + begin * (q_size + 2 * kv_size);
    for (int64_t row = 0; row < end - begin; ++row) {
      std::copy_n(from, q_size, q.data() + row * q_size);
      std::copy_n(from + q_size, kv_size, k.data() + row * kv_size);
      std::copy_n(from + q_size + kv_size, kv_size, v.data() + row * kv_size);
      from += q_size + 2 * kv_size;
    }
  }
  if (q_norm_) {
    q_norm_->forward_inline(q);
    k_norm_->forward_inline(k);
  }
  const auto n_pairs = rope_->inverse_frequencies().size();
  const auto of_rows = [&](const std::vector<float>& angles) {
    return std::span(angles).subspan(static_cast<size_t>(begin) * n_pairs,
                                     static_cast<size_t>(end - begin) * n_pairs);
  };
  rope_->rotate(q, n_heads_, of_rows(separation.step->cosines), of_rows(separation.step->sines));
  rope_->rotate(k, n_kv_heads_, of_rows(separation.step->cosines), of_rows(separation.step->sines));
}

AttentionLayer::Heads AttentionLayer::separate(const StepContext& step,
                                               std::span<float> qkv) const {
  const auto n_tokens = static_cast<int64_t>(step.input->tokens.size());
  const auto q_size = static_cast<size_t>(n_heads_ * head_dim_);
  const auto kv_size = static_cast<size_t>(n_kv_heads_ * head_dim_);
  AttentionRows& rows = *step.rows;
  const Heads heads =
      n_tokens == 1 ? Heads{qkv.first(q_size), qkv.subspan(q_size, kv_size),
                            qkv.subspan(q_size + kv_size, kv_size)}
                    : Heads{rows.q.rows(n_tokens), rows.k.rows(n_tokens), rows.v.rows(n_tokens)};
  const Separation separation{this, &step, n_tokens == 1 ? std::span<const float>() : qkv, heads};
  runner_->rows(
      n_tokens, rows.qkv.width(),
      [](const void* context, int64_t begin, int64_t end) {
        const auto& all = *static_cast<const Separation*>(context);
        all.layer->separate_rows(all, begin, end);
      },
      &separation);
  return heads;
}

Result<void> AttentionLayer::forward(std::span<const float> x,
                                     const StepContext& step,
                                     std::span<float> y) const {
  const DecoderInput& input = *step.input;
  const auto n_tokens = static_cast<int64_t>(input.tokens.size());
  const std::span<float> qkv = step.rows->qkv.rows(n_tokens);
  qkv_.forward(x, qkv);
  const Heads heads = separate(step, qkv);
  TQ_TRY(attention_->append(
      {.plan = input.plan, .arena = input.arena, .layer = layer_, .k = heads.k, .v = heads.v}));
  const std::span<float> attended = step.rows->attended.rows(n_tokens);
  TQ_TRY(attention_->attend({.plan = input.plan,
                             .arena = input.arena,
                             .layer = layer_,
                             .scale = 1.0f / std::sqrt(static_cast<float>(head_dim_)),
                             .key_bias = key_bias_ ? &*key_bias_ : nullptr,
                             .q = heads.q,
                             .out = attended}));
  out_.forward(attended, y);
  return {};
}

uint64_t AttentionLayer::bytes() const noexcept {
  return qkv_.bytes() + out_.bytes() + (q_norm_ ? q_norm_->bytes() + k_norm_->bytes() : 0) +
         (key_bias_ ? key_bias_->bytes() : 0);
}

}  // namespace tq::models
