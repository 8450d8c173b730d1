#include "models/llama.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/silu.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "models/attention_layer.h"
#include "models/layers.h"
#include "models/rope.h"
#include "models/tensor_bridge.h"

namespace tq::models {
namespace {

struct Layer {
  RmsNorm attention_norm;
  AttentionLayer attention;
  RmsNorm mlp_norm;
  Linear gate_up;  // gate and up stacked
  Linear down;

  uint64_t bytes() const noexcept {
    return attention_norm.bytes() + attention.bytes() + mlp_norm.bytes() + gate_up.bytes() +
           down.bytes();
  }
};

class Llama final : public Decoder {
 public:
  static Result<std::unique_ptr<Llama>> load(const WeightSource& source,
                                             kernels::PagedAttention& attention,
                                             const Compute& compute);
  // See DecoderOptions.
  Result<void> keep_key_biases_out(float least, int64_t positions_max);

  const ModelSpec& spec() const noexcept override { return spec_; }
  uint64_t weight_bytes() const noexcept override;
  Result<std::span<float>> forward(const DecoderInput& input) override;

 private:
  Llama(ModelSpec spec, std::unique_ptr<Rope> rope, Linear embedding, RmsNorm final_norm)
      : spec_(std::move(spec)),
        rope_(std::move(rope)),
        embedding_(std::move(embedding)),
        final_norm_(std::move(final_norm)) {}

  at::Tensor logits_of(const at::Tensor& hidden, std::span<const int32_t> rows) const;

  ModelSpec spec_;
  std::unique_ptr<Rope> rope_;                 // the layers point at it
  std::unique_ptr<kernels::TileTurns> turns_;  // where a layer keeps its key bias out; as rope_
  Linear embedding_;                           // [vocab_size, hidden]
  std::vector<Layer> layers_;
  RmsNorm final_norm_;
  std::optional<Linear> head_;  // absent: the embedding is tied
  at::Tensor logits_;           // of the last step
};

Result<Layer> load_layer(const WeightSource& source,
                         LayerIdx index,
                         const Compute& compute,
                         const Rope& rope,
                         kernels::PagedAttention& attention) {
  const ModelSpec& spec = source.spec();
  const std::string prefix = "model.layers." + std::to_string(index);
  TQ_ASSIGN(auto attention_norm,
            RmsNorm::load(source, prefix + ".input_layernorm.weight", spec.hidden, spec.rms_eps));
  TQ_ASSIGN(auto self_attention,
            AttentionLayer::load(source, prefix + ".self_attn", index, compute, rope, attention));
  TQ_ASSIGN(auto mlp_norm, RmsNorm::load(source, prefix + ".post_attention_layernorm.weight",
                                         spec.hidden, spec.rms_eps));
  TQ_ASSIGN(auto gate_up, Linear::load(source, {prefix + ".mlp.gate_proj", prefix + ".mlp.up_proj"},
                                       spec.hidden, false, compute));
  TQ_ASSIGN(auto down,
            Linear::load(source, {prefix + ".mlp.down_proj"}, spec.intermediate, false, compute));
  return Layer{std::move(attention_norm), std::move(self_attention), std::move(mlp_norm),
               std::move(gate_up), std::move(down)};
}

Result<std::unique_ptr<Llama>> Llama::load(const WeightSource& source,
                                           kernels::PagedAttention& attention,
                                           const Compute& compute) {
  const ModelSpec& spec = source.spec();
  TQ_ASSIGN(auto embedding,
            Linear::load(source, {"model.embed_tokens"}, spec.hidden, false, compute));
  TQ_ASSIGN(auto norm, RmsNorm::load(source, "model.norm.weight", spec.hidden, spec.rms_eps));
  std::unique_ptr<Llama> model(new Llama(spec,
                                         std::make_unique<Rope>(spec, source.rope_is_interleaved()),
                                         std::move(embedding), std::move(norm)));
  for (LayerIdx index = 0; index < spec.n_layers; ++index) {
    TQ_ASSIGN(auto layer, load_layer(source, index, compute, *model->rope_, attention));
    model->layers_.push_back(std::move(layer));
  }
  if (!spec.tie_embeddings) {
    TQ_ASSIGN(model->head_, Linear::load(source, {"lm_head"}, spec.hidden, false, compute));
  }
  return model;
}

Result<void> Llama::keep_key_biases_out(float least, int64_t positions_max) {
  for (Layer& layer : layers_) {
    if (layer.attention.key_bias_max() < least) continue;
    if (!turns_) turns_ = std::make_unique<kernels::TileTurns>(rope_->pairs(), positions_max);
    TQ_TRY(layer.attention.keep_key_bias_out(*turns_));
  }
  return {};
}

uint64_t Llama::weight_bytes() const noexcept {
  uint64_t bytes = embedding_.bytes() + final_norm_.bytes() + (head_ ? head_->bytes() : 0);
  for (const Layer& layer : layers_) bytes += layer.bytes();
  return bytes + (turns_ ? turns_->bytes() : 0);
}

// silu(gate) * up, both halves of one row.
at::Tensor swiglu(const at::Tensor& gate_up) {
  const int64_t size = gate_up.size(1) / 2;
  return at::silu(gate_up.narrow(1, 0, size)).mul_(gate_up.narrow(1, size, size)).contiguous();
}

at::Tensor Llama::logits_of(const at::Tensor& hidden, std::span<const int32_t> rows) const {
  const auto n_rows = static_cast<int64_t>(rows.size());
  at::Tensor picked = at::empty({n_rows, spec_.hidden});
  for (int64_t i = 0; i < n_rows; ++i) picked[i].copy_(hidden[rows[static_cast<size_t>(i)]]);
  const Linear& head = head_ ? *head_ : embedding_;
  return head.forward(final_norm_.forward(picked));
}

Result<std::span<float>> Llama::forward(const DecoderInput& input) {
  for (const TokenId token : input.tokens) {
    TQ_CHECK(token >= 0 && token < spec_.vocab_size, "token outside the vocabulary", token,
             spec_.vocab_size);
  }
  StepContext step{.input = &input, .cosines = {}, .sines = {}};
  rope_->angles(input.positions, step.cosines, step.sines);
  at::Tensor hidden = embedding_.rows(input.tokens);
  for (const Layer& layer : layers_) {
    TQ_ASSIGN(const at::Tensor attended,
              layer.attention.forward(layer.attention_norm.forward(hidden), step));
    hidden.add_(attended);
    const at::Tensor gate_up = layer.gate_up.forward(layer.mlp_norm.forward(hidden));
    hidden.add_(layer.down.forward(swiglu(gate_up)));
  }
  if (input.logit_rows.empty()) return std::span<float>();
  logits_ = logits_of(hidden, input.logit_rows);
  return f32_span(logits_);
}

}  // namespace

Result<std::unique_ptr<Decoder>> make_llama(const WeightSource& source,
                                            kernels::PagedAttention& attention,
                                            const DecoderOptions& options) {
  const Compute compute{.dtype = options.dtype, .linear = options.linear, .pool = options.pool};
  TQ_ASSIGN(std::unique_ptr<Llama> model, Llama::load(source, attention, compute));
  TQ_TRY(model->keep_key_biases_out(options.key_bias_min, options.positions_max > 0
                                                              ? options.positions_max
                                                              : source.spec().context_max));
  return std::unique_ptr<Decoder>(std::move(model));
}

}  // namespace tq::models
