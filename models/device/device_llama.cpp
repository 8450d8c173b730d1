#include "models/device/device_llama.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "config/check.h"
#include "models/device/device_model.h"
#include "models/device/device_rows.h"
#include "models/device/device_sizes.h"
#include "models/device/step_graphs.h"

namespace tq::models {
namespace {

using kernels::ElementType;

// Activations of one step, reused by every layer and step. `type` is that of the matrix products.
class StepRows {
 public:
  StepRows(const ModelSpec& spec, at::TensorOptions f32, at::TensorOptions type)
      : hidden(spec.hidden, f32),
        normed(spec.hidden, type),
        qkv(qkv_width(spec), type),
        q(q_width(spec), f32),
        k(kv_width(spec), f32),
        v(kv_width(spec), f32),
        attended(q_width(spec), type),
        branch(spec.hidden, type),
        gate_up(2 * spec.intermediate, type),
        product(spec.intermediate, type) {}

  // Room for more rows than before, zeros; all of them move.
  void reserve(int64_t n_rows) {
    capacity_ = 0;  // until all is there
    for (DeviceRows* rows :
         std::array{&hidden, &normed, &qkv, &q, &k, &v, &attended, &branch, &gate_up, &product}) {
      rows->rows(n_rows).zero_();
    }
    capacity_ = n_rows;
  }
  int64_t capacity() const noexcept { return capacity_; }

  DeviceRows hidden;  // the residual stream
  DeviceRows normed;
  DeviceRows qkv;
  DeviceRows q, k, v;
  DeviceRows attended;
  DeviceRows branch;  // what a block adds to the residual stream
  DeviceRows gate_up;
  DeviceRows product;  // silu(gate) * up

 private:
  int64_t capacity_ = 0;
};

// Null of an undefined tensor.
const float* float_pointer(const at::Tensor& tensor) {
  return tensor.defined() ? tensor.const_data_ptr<float>() : nullptr;
}

at::TensorOptions options_of(const DeviceKernels& kernels, ElementType type) {
  return at::TensorOptions().dtype(scalar_type(type)).device(kernels.device->device());
}

class DeviceLlama final : public DeviceDecoder {
 public:
  DeviceLlama(DeviceModel model, const DeviceKernels& kernels, const DeviceDecoderOptions& options);

  const ModelSpec& spec() const noexcept override { return model_.spec; }
  uint64_t weight_bytes() const noexcept override { return model_.bytes; }
  Result<std::span<float>> forward(const DecoderInput& input) override;
  Result<std::span<float>> forward_on_device(const DecoderInput& input) override;

 private:
  void make_room(int64_t n_rows);
  Result<std::span<float>> run(const DecoderInput& input);

  // A step's parts, one more than there are layers, lie between what layers attend to. They know
  // nothing of the step but its rows, padded, and may be recorded: a step's integers are found by
  // their place.
  Result<void> put_part(size_t part, int32_t n_rows);
  Result<void> put_embeddings(int32_t n_rows);
  Result<void> put_mlp(const DeviceLayer& layer, int32_t n_rows);  // from what was attended to
  Result<void> put_heads(const DeviceLayer& layer, int32_t n_rows);
  Result<void> put_norm(const at::Tensor& weight, int32_t n_rows, bool adds_branch);

  Result<void> attend(const DecoderInput& input, LayerIdx layer);
  Result<std::span<float>> run_head(int32_t n_rows, const int32_t* logit_rows, int64_t n_logits);

  DeviceModel model_;
  ElementType type_;
  DeviceKernels kernels_;
  StepRows rows_;
  StepInputs inputs_;
  StepGraphs graphs_;
  DeviceRows logits_;
  DeviceRows host_logits_;
};

DeviceLlama::DeviceLlama(DeviceModel model,
                         const DeviceKernels& kernels,
                         const DeviceDecoderOptions& options)
    : model_(std::move(model)),
      type_(element_type(options.dtype)),
      kernels_(kernels),
      rows_(model_.spec, options_of(kernels, ElementType::kF32), options_of(kernels, type_)),
      inputs_(kernels.device->device()),
      // Not padded beyond what there is room for.
      graphs_(*kernels.device,
              options.rows_max > 0 ? static_cast<int32_t>(std::min<int64_t>(
                                         options.recorded_rows_max, options.rows_max))
                                   : options.recorded_rows_max),
      logits_(model_.spec.vocab_size, options_of(kernels, ElementType::kF32)),
      host_logits_(
          model_.spec.vocab_size,
          at::TensorOptions().dtype(at::kFloat).pinned_memory(kernels.device->device().is_cuda())) {
  if (options.rows_max > 0) make_room(options.rows_max);
}

void DeviceLlama::make_room(int64_t n_rows) {
  if (n_rows <= rows_.capacity()) return;
  graphs_.clear();                                 // first: what follows may throw
  inputs_.reset(static_cast<size_t>(3 * n_rows));  // the most that a step has
  rows_.reserve(n_rows);
}

Result<void> DeviceLlama::put_norm(const at::Tensor& weight, int32_t n_rows, bool adds_branch) {
  return kernels_.layers->norm(
      {.type = type_,
       .x = rows_.hidden.rows(n_rows).data_ptr<float>(),
       .delta = adds_branch ? rows_.branch.rows(n_rows).const_data_ptr() : nullptr,
       .weight = weight.const_data_ptr<float>(),
       .y = rows_.normed.rows(n_rows).data_ptr(),
       .n_rows = n_rows,
       .size = static_cast<int32_t>(model_.spec.hidden),
       .eps = model_.spec.rms_eps});
}

Result<void> DeviceLlama::put_embeddings(int32_t n_rows) {
  return kernels_.layers->embed({.type = type_,
                                 .table = model_.embedding.weight().const_data_ptr(),
                                 .tokens = inputs_.at(0),
                                 .y = rows_.hidden.rows(n_rows).data_ptr<float>(),
                                 .n_rows = n_rows,
                                 .size = static_cast<int32_t>(model_.spec.hidden)});
}

Result<void> DeviceLlama::put_mlp(const DeviceLayer& layer, int32_t n_rows) {
  const at::Tensor normed = rows_.normed.rows(n_rows);
  const at::Tensor product = rows_.product.rows(n_rows);
  at::Tensor branch = rows_.branch.rows(n_rows);
  at::Tensor gate_up = rows_.gate_up.rows(n_rows);
  layer.out.forward(rows_.attended.rows(n_rows), branch);
  TQ_TRY(put_norm(layer.mlp_norm, n_rows, true));
  layer.gate_up.forward(normed, gate_up);
  TQ_TRY(kernels_.layers->swiglu({.type = type_,
                                  .gate_up = gate_up.const_data_ptr(),
                                  .y = product.data_ptr(),
                                  .n_rows = n_rows,
                                  .size = static_cast<int32_t>(model_.spec.intermediate)}));
  layer.down.forward(product, branch);
  return {};
}

Result<void> DeviceLlama::put_heads(const DeviceLayer& layer, int32_t n_rows) {
  const ModelSpec& spec = model_.spec;
  at::Tensor qkv = rows_.qkv.rows(n_rows);
  layer.qkv.forward(rows_.normed.rows(n_rows), qkv);
  return kernels_.layers->heads(
      {.type = type_,
       .qkv = qkv.const_data_ptr(),
       .bias = float_pointer(layer.bias),
       .q_norm = float_pointer(layer.q_norm),
       .k_norm = float_pointer(layer.k_norm),
       .eps = spec.rms_eps,
       .positions = inputs_.at(n_rows),
       .inverse_frequencies = model_.inverse_frequencies.const_data_ptr<float>(),
       .n_pairs = static_cast<int32_t>(model_.inverse_frequencies.numel()),
       .magnitude = model_.rope.magnitude(),
       .interleaved = model_.interleaved,
       .n_heads = spec.n_heads,
       .n_kv_heads = spec.n_kv_heads,
       .head_dim = spec.head_dim,
       .n_rows = n_rows,
       .q = rows_.q.rows(n_rows).data_ptr<float>(),
       .k = rows_.k.rows(n_rows).data_ptr<float>(),
       .v = rows_.v.rows(n_rows).data_ptr<float>()});
}

Result<void> DeviceLlama::put_part(size_t part, int32_t n_rows) {
  if (part == 0) {
    TQ_TRY(put_embeddings(n_rows));
  } else {
    TQ_TRY(put_mlp(model_.layers[part - 1], n_rows));
  }
  if (part == model_.layers.size()) return {};
  const DeviceLayer& layer = model_.layers[part];
  TQ_TRY(put_norm(layer.attention_norm, n_rows, part > 0));
  return put_heads(layer, n_rows);
}

Result<void> DeviceLlama::attend(const DecoderInput& input, LayerIdx layer) {
  const auto n_rows = static_cast<int64_t>(input.tokens.size());
  const float scale = 1.0f / std::sqrt(static_cast<float>(model_.spec.head_dim));
  TQ_TRY(kernels_.attention->append({.plan = input.plan,
                                     .arena = input.arena,
                                     .layer = layer,
                                     .k = device_span(rows_.k.rows(n_rows)),
                                     .v = device_span(rows_.v.rows(n_rows))}));
  return kernels_.attention->attend_to(
      {.plan = input.plan,
       .arena = input.arena,
       .layer = layer,
       .scale = scale,
       .key_bias = model_.layers[static_cast<size_t>(layer)].key_bias.get(),
       .q = device_span(rows_.q.rows(n_rows)),
       .out = {}},
      type_, rows_.attended.rows(n_rows).data_ptr());
}

Result<std::span<float>> DeviceLlama::run_head(int32_t n_rows,
                                               const int32_t* logit_rows,
                                               int64_t n_logits) {
  if (n_logits == 0) return std::span<float>();
  const at::Tensor picked = rows_.normed.rows(n_logits);
  TQ_TRY(kernels_.layers->norm({.type = type_,
                                .x = rows_.hidden.rows(n_rows).data_ptr<float>(),
                                .delta = rows_.branch.rows(n_rows).const_data_ptr(),
                                .weight = model_.final_norm.const_data_ptr<float>(),
                                .y = picked.data_ptr(),
                                .rows = logit_rows,
                                .n_rows = static_cast<int32_t>(n_logits),
                                .size = static_cast<int32_t>(model_.spec.hidden),
                                .eps = model_.spec.rms_eps}));
  at::Tensor logits = logits_.rows(n_logits);
  (model_.head ? *model_.head : model_.embedding).forward_f32(picked, logits);
  return device_span(logits);
}

Result<std::span<float>> DeviceLlama::forward(const DecoderInput& input) {
  TQ_ASSIGN(const auto logits, forward_on_device(input));
  const auto n_logits = static_cast<int64_t>(input.logit_rows.size());
  const at::Tensor on_host = host_logits_.rows(n_logits);
  if (n_logits > 0) on_host.copy_(logits_.rows(n_logits), /*non_blocking=*/true);
  TQ_TRY(kernels_.attention->wait());
  return logits.empty() ? logits : device_span(on_host);
}

Result<std::span<float>> DeviceLlama::forward_on_device(const DecoderInput& input) {
  for (const TokenId token : input.tokens) {
    TQ_CHECK(token >= 0 && token < model_.spec.vocab_size, "token outside the vocabulary", token,
             model_.spec.vocab_size);
  }
  kernels_.device->make_current();
  Result<std::span<float>> logits = run(input);
  // What is on its way still reads this step's integers, which the next one overwrites; and a lost
  // device is the reason to tell.
  if (!logits.ok()) TQ_TRY(kernels_.attention->wait());
  return logits;
}

Result<std::span<float>> DeviceLlama::run(const DecoderInput& input) {
  const int32_t n_rows = graphs_.padded(static_cast<int32_t>(input.tokens.size()));
  make_room(n_rows);
  const auto padded = static_cast<size_t>(n_rows);
  inputs_.reset(2 * padded + input.logit_rows.size());
  inputs_.add(input.tokens, padded);  // a row too many is token 0 at position 0, and nobody's
  inputs_.add(input.positions, padded);
  const int32_t* const logit_rows = inputs_.add(input.logit_rows, input.logit_rows.size());
  inputs_.send();
  const auto run_part = [&](size_t part) {
    return graphs_.run(part, n_rows, [this, part, n_rows] { return put_part(part, n_rows); });
  };
  for (size_t i = 0; i < model_.layers.size(); ++i) {
    TQ_TRY(run_part(i));
    TQ_TRY(attend(input, static_cast<LayerIdx>(i)));
  }
  TQ_TRY(run_part(model_.layers.size()));
  return run_head(n_rows, logit_rows, static_cast<int64_t>(input.logit_rows.size()));
}

}  // namespace

Result<std::unique_ptr<DeviceDecoder>> make_device_llama(const WeightSource& source,
                                                         const DeviceKernels& kernels,
                                                         const DeviceDecoderOptions& options) {
  TQ_ASSIGN(DeviceModel model, DeviceModel::load(source, kernels, options));
  return std::unique_ptr<DeviceDecoder>(
      std::make_unique<DeviceLlama>(std::move(model), kernels, options));
}

}  // namespace tq::models
