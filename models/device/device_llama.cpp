#include "models/device/device_llama.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "config/check.h"
#include "models/device/device_rows.h"
#include "models/device/device_sizes.h"
#include "models/device/device_weights.h"
#include "models/find_weights.h"
#include "models/rope.h"

namespace tq::models {
namespace {

using kernels::ElementType;

struct Layer {
  at::Tensor attention_norm;
  DeviceLinear qkv;                            // q, k and v stacked
  at::Tensor bias;                             // of qkv; undefined: none
  std::unique_ptr<kernels::KeyBias> key_bias;  // the keys' part, where the store is kept without it
  at::Tensor q_norm;                           // undefined: heads are not normed
  at::Tensor k_norm;
  DeviceLinear out;
  at::Tensor mlp_norm;
  DeviceLinear gate_up;  // gate and up stacked
  DeviceLinear down;
};

// Activations of one step, reused by every layer and step. `type` is that of the matrix products.
struct LayerRows {
  LayerRows(const ModelSpec& spec, at::TensorOptions f32, at::TensorOptions type)
      : hidden(spec.hidden, f32),
        normed(spec.hidden, type),
        qkv(qkv_width(spec), type),
        q(q_width(spec), f32),
        k(kv_width(spec), f32),
        v(kv_width(spec), f32),
        attended(q_width(spec), type),
        branch(spec.hidden, type),
        gate_up(2 * spec.intermediate, type),
        product(spec.intermediate, type),
        logits(spec.vocab_size, f32) {}

  DeviceRows hidden;  // the residual stream
  DeviceRows normed;
  DeviceRows qkv;
  DeviceRows q, k, v;
  DeviceRows attended;
  DeviceRows branch;  // what a block adds to the residual stream
  DeviceRows gate_up;
  DeviceRows product;  // silu(gate) * up
  DeviceRows logits;
};

class DeviceLlama final : public DeviceDecoder {
 public:
  static Result<std::unique_ptr<DeviceLlama>> load(const WeightSource& source,
                                                   const DeviceKernels& kernels,
                                                   const DeviceDecoderOptions& options);

  const ModelSpec& spec() const noexcept override { return spec_; }
  uint64_t weight_bytes() const noexcept override { return weight_bytes_; }
  Result<std::span<float>> forward(const DecoderInput& input) override;
  Result<std::span<float>> forward_on_device(const DecoderInput& input) override;

 private:
  // What all layers of one step share, on the device.
  struct Step {
    const DecoderInput* input;
    int32_t n_rows;
    const int32_t* tokens;
    const int32_t* positions;
    const int32_t* logit_rows;
    at::Tensor hidden, normed, branch;
  };

  DeviceLlama(const WeightSource& source,
              const DeviceKernels& kernels,
              const DeviceDecoderOptions& options);
  Result<at::Tensor> load_norm(const WeightSource& source, const std::string& name, int64_t size);
  Result<DeviceLinear> load_linear(const WeightSource& source,
                                   const std::vector<std::string>& stems,
                                   int64_t n_inputs);
  Result<void> load_bias(const WeightSource& source,
                         const std::vector<std::string>& stems,
                         Layer& layer);
  Result<Layer> load_layer(const WeightSource& source, LayerIdx index);

  Result<std::span<float>> run(const DecoderInput& input);
  Step begin(const DecoderInput& input);
  Result<void> run_norm(const Step& step, const at::Tensor& weight, bool adds_branch);
  Result<void> run_attention(const Layer& layer, LayerIdx index, Step& step);
  Result<void> run_mlp(const Layer& layer, Step& step);
  Result<std::span<float>> run_head(Step& step);

  ModelSpec spec_;
  Rope rope_;
  bool interleaved_;
  DeviceDecoderOptions options_;
  ElementType type_;
  DeviceKernels kernels_;
  std::unique_ptr<kernels::TileTurns> turns_;  // where a layer keeps its key bias out
  uint64_t weight_bytes_ = 0;
  DeviceLinear embedding_;  // [vocab_size, hidden]
  std::vector<Layer> layers_;
  at::Tensor final_norm_;
  std::optional<DeviceLinear> head_;  // absent: the embedding is tied
  at::Tensor inverse_frequencies_;
  LayerRows rows_;
  StepInputs inputs_;
  DeviceRows host_logits_;
};

// Null of an undefined tensor.
const float* float_pointer(const at::Tensor& tensor) {
  return tensor.defined() ? tensor.const_data_ptr<float>() : nullptr;
}

at::TensorOptions options_of(const DeviceKernels& kernels, ElementType type) {
  return at::TensorOptions().dtype(scalar_type(type)).device(kernels.device->device());
}

DeviceLlama::DeviceLlama(const WeightSource& source,
                         const DeviceKernels& kernels,
                         const DeviceDecoderOptions& options)
    : spec_(source.spec()),
      rope_(spec_, source.rope_is_interleaved()),
      interleaved_(source.rope_is_interleaved()),
      options_(options),
      type_(element_type(options.dtype)),
      kernels_(kernels),
      rows_(spec_, options_of(kernels, ElementType::kF32), options_of(kernels, type_)),
      inputs_(kernels.device->device()),
      host_logits_(
          spec_.vocab_size,
          at::TensorOptions().dtype(at::kFloat).pinned_memory(kernels.device->device().is_cuda())) {
}

Result<at::Tensor> DeviceLlama::load_norm(const WeightSource& source,
                                          const std::string& name,
                                          int64_t size) {
  TQ_ASSIGN(const auto values, load_vector(source, name, size));
  weight_bytes_ += values.size() * sizeof(float);
  return upload_vector(values, *kernels_.device);
}

Result<DeviceLinear> DeviceLlama::load_linear(const WeightSource& source,
                                              const std::vector<std::string>& stems,
                                              int64_t n_inputs) {
  TQ_ASSIGN(auto loaded, DeviceLinear::load(source, stems, n_inputs, type_, *kernels_.device));
  weight_bytes_ += loaded.bytes();
  return loaded;
}

// As AttentionLayer: large biases of keys stay out of the store.
Result<void> DeviceLlama::load_bias(const WeightSource& source,
                                    const std::vector<std::string>& stems,
                                    Layer& layer) {
  TQ_ASSIGN(const auto matrices, find_matrices(source, stems, spec_.hidden));
  TQ_ASSIGN(auto bias, load_biases(source, stems, matrices));
  const std::span<float> of_keys = std::span(bias).subspan(static_cast<size_t>(q_width(spec_)),
                                                           static_cast<size_t>(kv_width(spec_)));
  float largest = 0.0f;
  for (const float value : of_keys) largest = std::max(largest, std::abs(value));
  if (largest >= options_.key_bias_min && !spec_.qk_norm) {  // a norm of a biased key is no sum
    if (!turns_) {
      turns_ = std::make_unique<kernels::TileTurns>(
          rope_.pairs(), options_.positions_max > 0 ? options_.positions_max : spec_.context_max);
      weight_bytes_ += turns_->bytes();
    }
    TQ_ASSIGN(auto key_bias, kernels::KeyBias::create(of_keys, spec_.n_kv_heads, *turns_));
    layer.key_bias = std::make_unique<kernels::KeyBias>(std::move(key_bias));
    TQ_TRY(kernels_.attention->upload(*layer.key_bias));
    weight_bytes_ += layer.key_bias->bytes();
    std::fill(of_keys.begin(), of_keys.end(), 0.0f);
  }
  layer.bias = upload_vector(bias, *kernels_.device);
  weight_bytes_ += layer.bias.nbytes();
  return {};
}

Result<Layer> DeviceLlama::load_layer(const WeightSource& source, LayerIdx index) {
  const std::string prefix = "model.layers." + std::to_string(index);
  const std::string attention = prefix + ".self_attn";
  Layer layer;
  TQ_ASSIGN(layer.attention_norm,
            load_norm(source, prefix + ".input_layernorm.weight", spec_.hidden));
  const std::vector<std::string> projections{attention + ".q_proj", attention + ".k_proj",
                                             attention + ".v_proj"};
  TQ_ASSIGN(layer.qkv, load_linear(source, projections, spec_.hidden));
  if (spec_.qkv_bias) TQ_TRY(load_bias(source, projections, layer));
  if (spec_.qk_norm) {
    TQ_ASSIGN(layer.q_norm, load_norm(source, attention + ".q_norm.weight", spec_.head_dim));
    TQ_ASSIGN(layer.k_norm, load_norm(source, attention + ".k_norm.weight", spec_.head_dim));
  }
  TQ_ASSIGN(layer.out, load_linear(source, {attention + ".o_proj"}, q_width(spec_)));
  TQ_ASSIGN(layer.mlp_norm,
            load_norm(source, prefix + ".post_attention_layernorm.weight", spec_.hidden));
  TQ_ASSIGN(layer.gate_up, load_linear(source, {prefix + ".mlp.gate_proj", prefix + ".mlp.up_proj"},
                                       spec_.hidden));
  TQ_ASSIGN(layer.down, load_linear(source, {prefix + ".mlp.down_proj"}, spec_.intermediate));
  return layer;
}

Result<std::unique_ptr<DeviceLlama>> DeviceLlama::load(const WeightSource& source,
                                                       const DeviceKernels& kernels,
                                                       const DeviceDecoderOptions& options) {
  TQ_TRY(check_device_sizes(source));
  kernels.device->make_current();
  std::unique_ptr<DeviceLlama> model(new DeviceLlama(source, kernels, options));
  const ModelSpec& spec = model->spec_;
  TQ_ASSIGN(model->embedding_, model->load_linear(source, {"model.embed_tokens"}, spec.hidden));
  TQ_ASSIGN(model->final_norm_, model->load_norm(source, "model.norm.weight", spec.hidden));
  for (LayerIdx index = 0; index < spec.n_layers; ++index) {
    TQ_ASSIGN(auto layer, model->load_layer(source, index));
    model->layers_.push_back(std::move(layer));
  }
  if (!spec.tie_embeddings) {
    TQ_ASSIGN(model->head_, model->load_linear(source, {"lm_head"}, spec.hidden));
  }
  const std::span<const float> frequencies = model->rope_.inverse_frequencies();
  model->inverse_frequencies_ =
      upload_vector({frequencies.begin(), frequencies.end()}, *kernels.device);
  return model;
}

DeviceLlama::Step DeviceLlama::begin(const DecoderInput& input) {
  const auto n_rows = static_cast<int64_t>(input.tokens.size());
  inputs_.reset(2 * input.tokens.size() + input.logit_rows.size());
  Step step{.input = &input,
            .n_rows = static_cast<int32_t>(n_rows),
            .tokens = inputs_.add(input.tokens),
            .positions = inputs_.add(input.positions),
            .logit_rows = inputs_.add(input.logit_rows),
            .hidden = rows_.hidden.rows(n_rows),
            .normed = rows_.normed.rows(n_rows),
            .branch = rows_.branch.rows(n_rows)};
  inputs_.send();
  return step;
}

Result<void> DeviceLlama::run_norm(const Step& step, const at::Tensor& weight, bool adds_branch) {
  return kernels_.layers->norm({.type = type_,
                                .x = step.hidden.data_ptr<float>(),
                                .delta = adds_branch ? step.branch.const_data_ptr() : nullptr,
                                .weight = weight.const_data_ptr<float>(),
                                .y = step.normed.data_ptr(),
                                .n_rows = step.n_rows,
                                .size = static_cast<int32_t>(spec_.hidden),
                                .eps = spec_.rms_eps});
}

Result<void> DeviceLlama::run_attention(const Layer& layer, LayerIdx index, Step& step) {
  const DecoderInput& input = *step.input;
  at::Tensor qkv = rows_.qkv.rows(step.n_rows);
  const at::Tensor q = rows_.q.rows(step.n_rows);
  const at::Tensor k = rows_.k.rows(step.n_rows);
  const at::Tensor v = rows_.v.rows(step.n_rows);
  const at::Tensor attended = rows_.attended.rows(step.n_rows);
  layer.qkv.forward(step.normed, qkv);
  TQ_TRY(
      kernels_.layers->heads({.type = type_,
                              .qkv = qkv.const_data_ptr(),
                              .bias = float_pointer(layer.bias),
                              .q_norm = float_pointer(layer.q_norm),
                              .k_norm = float_pointer(layer.k_norm),
                              .eps = spec_.rms_eps,
                              .positions = step.positions,
                              .inverse_frequencies = inverse_frequencies_.const_data_ptr<float>(),
                              .n_pairs = static_cast<int32_t>(inverse_frequencies_.numel()),
                              .magnitude = rope_.magnitude(),
                              .interleaved = interleaved_,
                              .n_heads = spec_.n_heads,
                              .n_kv_heads = spec_.n_kv_heads,
                              .head_dim = spec_.head_dim,
                              .n_rows = step.n_rows,
                              .q = q.data_ptr<float>(),
                              .k = k.data_ptr<float>(),
                              .v = v.data_ptr<float>()}));
  TQ_TRY(kernels_.attention->append({.plan = input.plan,
                                     .arena = input.arena,
                                     .layer = index,
                                     .k = device_span(k),
                                     .v = device_span(v)}));
  TQ_TRY(
      kernels_.attention->attend_to({.plan = input.plan,
                                     .arena = input.arena,
                                     .layer = index,
                                     .scale = 1.0f / std::sqrt(static_cast<float>(spec_.head_dim)),
                                     .key_bias = layer.key_bias.get(),
                                     .q = device_span(q),
                                     .out = {}},
                                    type_, attended.data_ptr()));
  layer.out.forward(attended, step.branch);
  return {};
}

Result<void> DeviceLlama::run_mlp(const Layer& layer, Step& step) {
  at::Tensor gate_up = rows_.gate_up.rows(step.n_rows);
  const at::Tensor product = rows_.product.rows(step.n_rows);
  layer.gate_up.forward(step.normed, gate_up);
  TQ_TRY(kernels_.layers->swiglu({.type = type_,
                                  .gate_up = gate_up.const_data_ptr(),
                                  .y = product.data_ptr(),
                                  .n_rows = step.n_rows,
                                  .size = static_cast<int32_t>(spec_.intermediate)}));
  layer.down.forward(product, step.branch);
  return {};
}

Result<std::span<float>> DeviceLlama::run_head(Step& step) {
  const auto n_logits = static_cast<int64_t>(step.input->logit_rows.size());
  if (n_logits == 0) return std::span<float>();
  const at::Tensor picked = rows_.normed.rows(n_logits);
  TQ_TRY(kernels_.layers->norm({.type = type_,
                                .x = step.hidden.data_ptr<float>(),
                                .delta = step.branch.const_data_ptr(),
                                .weight = final_norm_.const_data_ptr<float>(),
                                .y = picked.data_ptr(),
                                .rows = step.logit_rows,
                                .n_rows = static_cast<int32_t>(n_logits),
                                .size = static_cast<int32_t>(spec_.hidden),
                                .eps = spec_.rms_eps}));
  at::Tensor logits = rows_.logits.rows(n_logits);
  (head_ ? *head_ : embedding_).forward_f32(picked, logits);
  return device_span(logits);
}

Result<std::span<float>> DeviceLlama::forward(const DecoderInput& input) {
  TQ_ASSIGN(const auto logits, forward_on_device(input));
  const auto n_logits = static_cast<int64_t>(input.logit_rows.size());
  const at::Tensor on_host = host_logits_.rows(n_logits);
  if (n_logits > 0) on_host.copy_(rows_.logits.rows(n_logits), /*non_blocking=*/true);
  TQ_TRY(kernels_.attention->wait());
  return logits.empty() ? logits : device_span(on_host);
}

Result<std::span<float>> DeviceLlama::forward_on_device(const DecoderInput& input) {
  for (const TokenId token : input.tokens) {
    TQ_CHECK(token >= 0 && token < spec_.vocab_size, "token outside the vocabulary", token,
             spec_.vocab_size);
  }
  kernels_.device->make_current();
  Result<std::span<float>> logits = run(input);
  // What is on its way still reads this step's integers, which the next one overwrites.
  if (!logits.ok()) static_cast<void>(kernels_.attention->wait());
  return logits;
}

Result<std::span<float>> DeviceLlama::run(const DecoderInput& input) {
  Step step = begin(input);
  TQ_TRY(kernels_.layers->embed({.type = type_,
                                 .table = embedding_.weight().const_data_ptr(),
                                 .tokens = step.tokens,
                                 .y = step.hidden.data_ptr<float>(),
                                 .n_rows = step.n_rows,
                                 .size = static_cast<int32_t>(spec_.hidden)}));
  for (size_t i = 0; i < layers_.size(); ++i) {
    TQ_TRY(run_norm(step, layers_[i].attention_norm, i > 0));
    TQ_TRY(run_attention(layers_[i], static_cast<LayerIdx>(i), step));
    TQ_TRY(run_norm(step, layers_[i].mlp_norm, true));
    TQ_TRY(run_mlp(layers_[i], step));
  }
  return run_head(step);
}

}  // namespace

Result<std::unique_ptr<DeviceDecoder>> make_device_llama(const WeightSource& source,
                                                         const DeviceKernels& kernels,
                                                         const DeviceDecoderOptions& options) {
  TQ_ASSIGN(std::unique_ptr<DeviceLlama> model, DeviceLlama::load(source, kernels, options));
  return std::unique_ptr<DeviceDecoder>(std::move(model));
}

}  // namespace tq::models
