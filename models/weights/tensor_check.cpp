#include "models/weights/tensor_check.h"

#include <cmath>
#include <optional>
#include <set>
#include <utility>

#include "config/limits.h"
#include "models/weights/gguf.h"

namespace tq::models {
namespace {

constexpr int64_t kWidthMax = 1 << 20;  // hidden, intermediate; keeps all products far below 2^63
constexpr int64_t kHeadsMax = 1 << 12;
constexpr int64_t kContextMax = 1 << 28;

struct Range {
  const char* name;
  int64_t value;
  int64_t max;
};

std::string shape_text(const std::vector<int64_t>& shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i) {
    text += (i == 0 ? "" : ", ") + std::to_string(shape[i]);
  }
  return text + "]";
}

Result<void> check_rope(const ModelSpec& spec, const std::string& where) {
  const RopeScaling& scaling = spec.rope_scaling;
  const auto bad = [&](const std::string& message) {
    return Error{Code::kCorrupt, message, where};
  };
  if (spec.rope_dim > spec.head_dim || spec.rope_dim % 2 != 0) {
    return bad("the rotary dimension " + std::to_string(spec.rope_dim) +
               " must be even and at most the head dimension " + std::to_string(spec.head_dim));
  }
  if (!std::isfinite(spec.rope_theta) || spec.rope_theta <= 0) {
    return bad("the rope base must be positive");
  }
  if (!std::isfinite(scaling.factor) || scaling.factor <= 0) {
    return bad("the rope scaling factor must be positive");
  }
  using Kind = RopeScaling::Kind;
  const bool by_wavelength = scaling.kind == Kind::kLlama3 || scaling.kind == Kind::kYarn;
  if (by_wavelength && (scaling.original_context < 1 || scaling.original_context > kContextMax)) {
    return bad("rope scaling needs the original context length");
  }
  if (scaling.kind == Kind::kLlama3 &&
      !(scaling.low_freq_factor > 0 && scaling.high_freq_factor > scaling.low_freq_factor &&
        std::isfinite(scaling.high_freq_factor))) {
    return bad("llama3 rope scaling needs 0 < low_freq_factor < high_freq_factor");
  }
  if (scaling.kind == Kind::kYarn &&
      !(scaling.beta_slow > 0 && scaling.beta_fast > scaling.beta_slow &&
        std::isfinite(scaling.beta_fast) && scaling.attention_factor > 0 &&
        std::isfinite(scaling.attention_factor))) {
    return bad("yarn rope scaling needs 0 < beta_slow < beta_fast and a positive attention factor");
  }
  if (scaling.kind == Kind::kFactors) {
    if (scaling.freq_factors.size() != static_cast<size_t>(spec.rope_dim / 2)) {
      return bad("rope_freqs.weight holds " + std::to_string(scaling.freq_factors.size()) +
                 " factors, expected " + std::to_string(spec.rope_dim / 2));
    }
    for (const float factor : scaling.freq_factors) {
      if (!std::isfinite(factor) || factor <= 0) return bad("rope_freqs.weight must be positive");
    }
  }
  return {};
}

// The tensors of one decoder layer.
void append_layer(const ModelSpec& spec, int layer, std::vector<ExpectedTensor>& out) {
  const std::string prefix = "model.layers." + std::to_string(layer) + ".";
  const int64_t hidden = spec.hidden;
  const int64_t wide = spec.intermediate;
  const int64_t q_rows = int64_t{spec.n_heads} * spec.head_dim;
  const int64_t kv_rows = int64_t{spec.n_kv_heads} * spec.head_dim;
  const auto add = [&](const char* name, std::vector<int64_t> shape) {
    out.push_back({prefix + name, std::move(shape)});
  };
  add("input_layernorm.weight", {hidden});
  add("self_attn.q_proj.weight", {q_rows, hidden});
  add("self_attn.k_proj.weight", {kv_rows, hidden});
  add("self_attn.v_proj.weight", {kv_rows, hidden});
  if (spec.qkv_bias) {
    add("self_attn.q_proj.bias", {q_rows});
    add("self_attn.k_proj.bias", {kv_rows});
    add("self_attn.v_proj.bias", {kv_rows});
  }
  if (spec.qk_norm) {
    add("self_attn.q_norm.weight", {spec.head_dim});
    add("self_attn.k_norm.weight", {spec.head_dim});
  }
  add("self_attn.o_proj.weight", {hidden, q_rows});
  add("post_attention_layernorm.weight", {hidden});
  add("mlp.gate_proj.weight", {wide, hidden});
  add("mlp.up_proj.weight", {wide, hidden});
  add("mlp.down_proj.weight", {hidden, wide});
}

// Tensors that files carry and no decoder reads: precomputed frequencies, and the head of a tied
// model.
bool is_ignored(std::string_view name, const ModelSpec& spec) {
  return name.ends_with(".rotary_emb.inv_freq") ||
         (spec.tie_embeddings && name == "lm_head.weight");
}

}  // namespace

Result<void> check_spec(const ModelSpec& spec, const std::string& where) {
  const Range ranges[] = {
      {"layers", spec.n_layers, limits::kLayersMax},
      {"hidden size", spec.hidden, kWidthMax},
      {"intermediate size", spec.intermediate, kWidthMax},
      {"attention heads", spec.n_heads, kHeadsMax},
      {"key-value heads", spec.n_kv_heads, kHeadsMax},
      {"head dimension", spec.head_dim, limits::kHeadDimMax},
      {"rotary dimension", spec.rope_dim, limits::kHeadDimMax},
      {"vocabulary", spec.vocab_size, limits::kVocabMax},
      {"context length", spec.context_max, kContextMax},
  };
  for (const Range& range : ranges) {
    if (range.value < 1 || range.value > range.max) {
      return Error{Code::kCorrupt,
                   std::string("the model's ") + range.name + " is " + std::to_string(range.value) +
                       ", allowed are 1 to " + std::to_string(range.max),
                   where};
    }
  }
  if (spec.n_heads % spec.n_kv_heads != 0) {
    return Error{Code::kCorrupt,
                 std::to_string(spec.n_heads) + " attention heads are no multiple of " +
                     std::to_string(spec.n_kv_heads) + " key-value heads",
                 where};
  }
  if (!(spec.rms_eps > 0) || !(spec.rms_eps < 1)) {
    return Error{Code::kCorrupt, "the RMS norm's epsilon must lie between 0 and 1", where};
  }
  if (spec.chat_template.size() > limits::kTemplateBytesMax) {
    return Error{Code::kTooLarge,
                 "the chat template has " + std::to_string(spec.chat_template.size()) +
                     " bytes, the limit is " + std::to_string(limits::kTemplateBytesMax),
                 where};
  }
  return check_rope(spec, where);
}

std::vector<ExpectedTensor> expected_tensors(const ModelSpec& spec) {
  std::vector<ExpectedTensor> tensors;
  tensors.push_back({"model.embed_tokens.weight", {spec.vocab_size, spec.hidden}});
  for (int layer = 0; layer < spec.n_layers; ++layer) append_layer(spec, layer, tensors);
  tensors.push_back({"model.norm.weight", {spec.hidden}});
  if (!spec.tie_embeddings) {
    tensors.push_back({"lm_head.weight", {spec.vocab_size, spec.hidden}});
  }
  return tensors;
}

Result<void> check_tensors(const WeightSource& source) {
  const ModelSpec& spec = source.spec();
  std::set<std::string> known;
  for (ExpectedTensor& expected : expected_tensors(spec)) {
    const std::optional<WeightView> found = source.find(expected.name);
    if (!found) {
      return Error{Code::kCorrupt,
                   "tensor " + expected.name + " " + shape_text(expected.shape) + " is missing",
                   source.path()};
    }
    if (found->shape != expected.shape) {
      return Error{Code::kCorrupt,
                   "tensor " + expected.name + " has the shape " + shape_text(found->shape) +
                       ", expected is " + shape_text(expected.shape),
                   source.path()};
    }
    known.insert(std::move(expected.name));
  }
  for (const std::string& name : source.names()) {
    if (known.count(name) == 0 && !is_ignored(name, spec)) {
      return Error{Code::kUnsupported,
                   "tensor " + shown(name) + " belongs to no " + spec.family +
                       " model that is supported here",
                   source.path()};
    }
  }
  return {};
}

}  // namespace tq::models
