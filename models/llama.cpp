#include "models/llama.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "models/attention_layer.h"
#include "models/layers.h"
#include "models/rope.h"
#include "models/row_buffer.h"

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

// Activations of one step, reused by every layer and step. LibTorch's memory.
struct LayerRows {
  explicit LayerRows(const ModelSpec& spec)
      : attention(spec),
        hidden(spec.hidden),
        normed(spec.hidden),
        branch(spec.hidden),
        gate_up(2 * spec.intermediate),
        product(spec.intermediate),
        picked(spec.hidden),
        picked_branch(spec.hidden),
        logits(spec.vocab_size) {}

  AttentionRows attention;
  RowBuffer hidden;  // the residual stream
  RowBuffer normed;
  RowBuffer branch;  // what a block adds to it
  RowBuffer gate_up;
  RowBuffer product;  // silu(gate) * up
  RowBuffer picked;   // rows of hidden and branch whose logits are wanted
  RowBuffer picked_branch;
  RowBuffer logits;
};

class Llama final : public Decoder {
 public:
  static Result<std::unique_ptr<Llama>> load(const WeightSource& source,
                                             kernels::PagedAttention& attention,
                                             const DecoderOptions& options);
  // See DecoderOptions.
  Result<void> keep_key_biases_out(float least, int64_t positions_max);

  const ModelSpec& spec() const noexcept override { return spec_; }
  uint64_t weight_bytes() const noexcept override;
  Result<std::span<float>> forward(const DecoderInput& input) override;

 private:
  Llama(ModelSpec spec,
        std::unique_ptr<Rope> rope,
        Linear embedding,
        RmsNorm final_norm,
        std::unique_ptr<kernels::LayerRunner> runner)
      : spec_(std::move(spec)),
        rope_(std::move(rope)),
        embedding_(std::move(embedding)),
        final_norm_(std::move(final_norm)),
        runner_(std::move(runner)),
        rows_(spec_),
        step_{.input = nullptr, .rows = &rows_.attention, .cosines = {}, .sines = {}} {}

  // Of some rows of the residual stream, hidden + branch.
  std::span<float> logits_of(std::span<const int32_t> rows,
                             std::span<const float> hidden,
                             std::span<const float> branch);

  ModelSpec spec_;
  std::unique_ptr<Rope> rope_;                 // the layers point at it
  std::unique_ptr<kernels::TileTurns> turns_;  // where a layer keeps its key bias out; as rope_
  Linear embedding_;                           // [vocab_size, hidden]
  std::vector<Layer> layers_;
  RmsNorm final_norm_;
  std::optional<Linear> head_;                    // absent: the embedding is tied
  std::unique_ptr<kernels::LayerRunner> runner_;  // the layers point at it
  LayerRows rows_;
  StepContext step_;  // points into rows_
};

Result<Layer> load_layer(const WeightSource& source,
                         LayerIdx index,
                         const Compute& compute,
                         const Rope& rope,
                         kernels::PagedAttention& attention) {
  const ModelSpec& spec = source.spec();
  const std::string prefix = "model.layers." + std::to_string(index);
  TQ_ASSIGN(auto attention_norm, RmsNorm::load(source, prefix + ".input_layernorm.weight",
                                               spec.hidden, spec.rms_eps, compute));
  TQ_ASSIGN(auto self_attention,
            AttentionLayer::load(source, prefix + ".self_attn", index, compute, rope, attention));
  TQ_ASSIGN(auto mlp_norm, RmsNorm::load(source, prefix + ".post_attention_layernorm.weight",
                                         spec.hidden, spec.rms_eps, compute));
  TQ_ASSIGN(auto gate_up, Linear::load(source, {prefix + ".mlp.gate_proj", prefix + ".mlp.up_proj"},
                                       spec.hidden, false, compute));
  TQ_ASSIGN(auto down,
            Linear::load(source, {prefix + ".mlp.down_proj"}, spec.intermediate, false, compute));
  return Layer{std::move(attention_norm), std::move(self_attention), std::move(mlp_norm),
               std::move(gate_up), std::move(down)};
}

Result<std::unique_ptr<Llama>> Llama::load(const WeightSource& source,
                                           kernels::PagedAttention& attention,
                                           const DecoderOptions& options) {
  const ModelSpec& spec = source.spec();
  auto runner = std::make_unique<kernels::LayerRunner>(options.layer, *options.pool);
  const Compute compute{.dtype = options.dtype, .runner = runner.get()};
  TQ_ASSIGN(auto embedding,
            Linear::load(source, {"model.embed_tokens"}, spec.hidden, false, compute));
  TQ_ASSIGN(auto norm,
            RmsNorm::load(source, "model.norm.weight", spec.hidden, spec.rms_eps, compute));
  std::unique_ptr<Llama> model(new Llama(spec,
                                         std::make_unique<Rope>(spec, source.rope_is_interleaved()),
                                         std::move(embedding), std::move(norm), std::move(runner)));
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

std::span<float> Llama::logits_of(std::span<const int32_t> rows,
                                  std::span<const float> hidden,
                                  std::span<const float> branch) {
  const auto n_rows = static_cast<int64_t>(rows.size());
  const auto size = static_cast<size_t>(spec_.hidden);
  const std::span<float> picked = rows_.picked.rows(n_rows);
  const std::span<float> picked_branch = rows_.picked_branch.rows(n_rows);
  for (size_t i = 0; i < rows.size(); ++i) {
    const size_t from = static_cast<size_t>(rows[i]) * size;
    std::copy_n(hidden.data() + from, size, picked.data() + i * size);
    std::copy_n(branch.data() + from, size, picked_branch.data() + i * size);
  }
  final_norm_.forward(picked, picked_branch, picked);
  const std::span<float> logits = rows_.logits.rows(n_rows);
  (head_ ? *head_ : embedding_).forward(picked, logits);
  return logits;
}

Result<std::span<float>> Llama::forward(const DecoderInput& input) {
  for (const TokenId token : input.tokens) {
    TQ_CHECK(token >= 0 && token < spec_.vocab_size, "token outside the vocabulary", token,
             spec_.vocab_size);
  }
  step_.input = &input;
  rope_->angles(input.positions, step_.cosines, step_.sines);
  const auto n_tokens = static_cast<int64_t>(input.tokens.size());
  const std::span<float> hidden = rows_.hidden.rows(n_tokens);
  const std::span<float> normed = rows_.normed.rows(n_tokens);
  const std::span<float> branch = rows_.branch.rows(n_tokens);
  const std::span<float> gate_up = rows_.gate_up.rows(n_tokens);
  const std::span<float> product = rows_.product.rows(n_tokens);
  embedding_.rows(input.tokens, hidden);
  std::span<const float> added;  // what the last block left for the next norm; none at first
  for (const Layer& layer : layers_) {
    layer.attention_norm.forward(hidden, added, normed);
    TQ_TRY(layer.attention.forward(normed, step_, branch));
    layer.mlp_norm.forward(hidden, branch, normed);
    layer.gate_up.forward(normed, gate_up);
    runner_->swiglu({.gate_up = gate_up, .y = product, .size = spec_.intermediate});
    layer.down.forward(product, branch);
    added = branch;
  }
  if (input.logit_rows.empty()) return std::span<float>();
  return logits_of(input.logit_rows, hidden, branch);
}

}  // namespace

Result<std::unique_ptr<Decoder>> make_llama(const WeightSource& source,
                                            kernels::PagedAttention& attention,
                                            const DecoderOptions& options) {
  TQ_ASSIGN(std::unique_ptr<Llama> model, Llama::load(source, attention, options));
  TQ_TRY(model->keep_key_biases_out(options.key_bias_min, options.positions_max > 0
                                                              ? options.positions_max
                                                              : source.spec().context_max));
  return std::unique_ptr<Decoder>(std::move(model));
}

}  // namespace tq::models
