#include "models/device/device_model.h"

#include <algorithm>
#include <string>
#include <utility>

#include "models/device/device_sizes.h"
#include "models/find_weights.h"

namespace tq::models {
namespace {

class Loader {
 public:
  Loader(const WeightSource& source,
         const DeviceKernels& kernels,
         const DeviceDecoderOptions& options,
         DeviceModel& model)
      : source_(source), kernels_(kernels), options_(options), model_(model) {}

  Result<void> load();

 private:
  Result<at::Tensor> norm(const std::string& name, int64_t size);
  Result<DeviceLinear> linear(const std::vector<std::string>& stems, int64_t n_inputs);
  Result<void> bias(const std::vector<std::string>& stems, DeviceLayer& layer);
  Result<DeviceLayer> layer(LayerIdx index);

  const WeightSource& source_;
  const DeviceKernels& kernels_;
  const DeviceDecoderOptions& options_;
  DeviceModel& model_;
};

Result<at::Tensor> Loader::norm(const std::string& name, int64_t size) {
  TQ_ASSIGN(const auto values, load_vector(source_, name, size));
  model_.bytes += values.size() * sizeof(float);
  return upload_vector(values, *kernels_.device);
}

Result<DeviceLinear> Loader::linear(const std::vector<std::string>& stems, int64_t n_inputs) {
  TQ_ASSIGN(auto loaded, DeviceLinear::load(source_, stems, n_inputs, element_type(options_.dtype),
                                            *kernels_.device));
  model_.bytes += loaded.bytes();
  return loaded;
}

// As AttentionLayer: large biases of keys stay out of the store.
Result<void> Loader::bias(const std::vector<std::string>& stems, DeviceLayer& layer) {
  const ModelSpec& spec = model_.spec;
  TQ_ASSIGN(const auto matrices, find_matrices(source_, stems, spec.hidden));
  TQ_ASSIGN(auto bias, load_biases(source_, stems, matrices));
  const std::span<float> of_keys = std::span(bias).subspan(static_cast<size_t>(q_width(spec)),
                                                           static_cast<size_t>(kv_width(spec)));
  const float largest = largest_magnitude(of_keys);
  if (largest >= options_.key_bias_min && !spec.qk_norm) {  // a norm of a biased key is no sum
    if (!model_.turns) {
      model_.turns = std::make_unique<kernels::TileTurns>(
          model_.rope.pairs(),
          options_.positions_max > 0 ? options_.positions_max : spec.context_max);
      model_.bytes += model_.turns->bytes();
    }
    TQ_ASSIGN(auto key_bias, kernels::KeyBias::create(of_keys, spec.n_kv_heads, *model_.turns));
    layer.key_bias = std::make_unique<kernels::KeyBias>(std::move(key_bias));
    TQ_TRY(kernels_.attention->upload(*layer.key_bias));
    model_.bytes += layer.key_bias->bytes();
    std::fill(of_keys.begin(), of_keys.end(), 0.0f);
  }
  layer.bias = upload_vector(bias, *kernels_.device);
  model_.bytes += layer.bias.nbytes();
  return {};
}

Result<DeviceLayer> Loader::layer(LayerIdx index) {
  const ModelSpec& spec = model_.spec;
  const std::string prefix = "model.layers." + std::to_string(index);
  const std::string attention = prefix + ".self_attn";
  DeviceLayer layer;
  TQ_ASSIGN(layer.attention_norm, norm(prefix + ".input_layernorm.weight", spec.hidden));
  const std::vector<std::string> projections{attention + ".q_proj", attention + ".k_proj",
                                             attention + ".v_proj"};
  TQ_ASSIGN(layer.qkv, linear(projections, spec.hidden));
  if (spec.qkv_bias) TQ_TRY(bias(projections, layer));
  if (spec.qk_norm) {
    TQ_ASSIGN(layer.q_norm, norm(attention + ".q_norm.weight", spec.head_dim));
    TQ_ASSIGN(layer.k_norm, norm(attention + ".k_norm.weight", spec.head_dim));
  }
  TQ_ASSIGN(layer.out, linear({attention + ".o_proj"}, q_width(spec)));
  TQ_ASSIGN(layer.mlp_norm, norm(prefix + ".post_attention_layernorm.weight", spec.hidden));
  TQ_ASSIGN(layer.gate_up,
            linear({prefix + ".mlp.gate_proj", prefix + ".mlp.up_proj"}, spec.hidden));
  TQ_ASSIGN(layer.down, linear({prefix + ".mlp.down_proj"}, spec.intermediate));
  return layer;
}

Result<void> Loader::load() {
  const ModelSpec& spec = model_.spec;
  TQ_ASSIGN(model_.embedding, linear({"model.embed_tokens"}, spec.hidden));
  TQ_ASSIGN(model_.final_norm, norm("model.norm.weight", spec.hidden));
  for (LayerIdx index = 0; index < spec.n_layers; ++index) {
    TQ_ASSIGN(auto loaded, layer(index));
    model_.layers.push_back(std::move(loaded));
  }
  if (!spec.tie_embeddings) {
    TQ_ASSIGN(model_.head, linear({"lm_head"}, spec.hidden));
  }
  const std::span<const float> frequencies = model_.rope.inverse_frequencies();
  model_.inverse_frequencies =
      upload_vector({frequencies.begin(), frequencies.end()}, *kernels_.device);
  return {};
}

}  // namespace

Result<DeviceModel> DeviceModel::load(const WeightSource& source,
                                      const DeviceKernels& kernels,
                                      const DeviceDecoderOptions& options) {
  TQ_TRY(check_device_sizes(source));
  kernels.device->make_current();
  const bool interleaved = source.rope_is_interleaved();
  DeviceModel model{.spec = source.spec(),
                    .rope = Rope(source.spec(), interleaved),
                    .interleaved = interleaved,
                    .turns = {},
                    .embedding = {},
                    .layers = {},
                    .final_norm = {},
                    .head = {},
                    .inverse_frequencies = {}};
  TQ_TRY(Loader(source, kernels, options, model).load());
  return model;
}

}  // namespace tq::models
