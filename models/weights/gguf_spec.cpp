// GGUF metadata -> ModelSpec.

#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>

#include "models/weights/gguf_source.h"
#include "models/weights/tensor_check.h"

namespace tq::models {
namespace {

const GgufTensor* find_tensor(const GgufFile& file, std::string_view name) {
  for (const GgufTensor& tensor : file.tensors()) {
    if (tensor.name == name) return &tensor;
  }
  return nullptr;
}

// "{arch}.{suffix}" reads of one architecture.
class ArchKeys {
 public:
  ArchKeys(const GgufFile& file, std::string arch) : file_(file), arch_(std::move(arch)) {}

  std::string key(const char* suffix) const { return arch_ + "." + suffix; }
  bool has(const char* suffix) const { return file_.has(key(suffix)); }

  // A number that ModelSpec keeps as int; out of int's range is kCorrupt.
  Result<int> get_int(const char* suffix) const {
    TQ_ASSIGN(const int64_t value, file_.get_int(key(suffix)));
    if (value != static_cast<int>(value)) {
      return Error{Code::kCorrupt,
                   "metadata key " + shown(key(suffix)) + " is " + std::to_string(value),
                   file_.path()};
    }
    return static_cast<int>(value);
  }
  Result<int> get_int_or(const char* suffix, int missing) const {
    return has(suffix) ? get_int(suffix) : Result<int>(missing);
  }
  Result<double> get_float_or(const char* suffix, double missing) const {
    return file_.get_float_or(key(suffix), missing);
  }
  Error unsupported(const char* suffix, const std::string& why) const {
    return Error{Code::kUnsupported, "metadata key " + shown(key(suffix)) + ": " + why,
                 file_.path()};
  }

 private:
  const GgufFile& file_;
  std::string arch_;
};

// Features that would change the output if they were skipped.
Result<void> refuse_unsupported(const GgufFile& file, const ArchKeys& keys, int64_t context_max) {
  struct Feature {
    const char* key;
    const char* what;
  };
  constexpr std::array<Feature, 5> kNonZero = {{
      {"expert_count", "mixtures of experts are not supported"},
      {"attention.clamp_kqv", "clamped projections are not supported"},
      {"attention.scale", "a fixed attention scale is not supported"},
      {"logit_scale", "scaled logits are not supported"},
      {"attn_logit_softcapping", "capped attention scores are not supported"},
  }};
  for (const Feature& feature : kNonZero) {
    TQ_ASSIGN(const double value, keys.get_float_or(feature.key, 0.0));
    if (value != 0.0) return keys.unsupported(feature.key, feature.what);
  }
  TQ_ASSIGN(const int64_t window, file.get_int_or(keys.key("attention.sliding_window"), 0));
  if (window > 0 && window < context_max) {
    return keys.unsupported("attention.sliding_window",
                            "a sliding window of " + std::to_string(window) +
                                " below the context length is not supported");
  }
  TQ_ASSIGN(const bool causal, file.get_bool_or(keys.key("attention.causal"), true));
  if (!causal) return keys.unsupported("attention.causal", "only causal models are supported");
  return {};
}

Result<void> read_scaling(const GgufFile& file, const ArchKeys& keys, ModelSpec& spec) {
  RopeScaling& scaling = spec.rope_scaling;
  std::string kind = "none";
  if (keys.has("rope.scaling.type")) {
    TQ_ASSIGN(kind, file.get_string(keys.key("rope.scaling.type")));
  } else if (keys.has("rope.scale_linear")) {  // the key of GGUF's first year
    kind = "linear";
  }
  TQ_ASSIGN(const double old_factor, keys.get_float_or("rope.scale_linear", 1.0));
  TQ_ASSIGN(const double factor, keys.get_float_or("rope.scaling.factor", old_factor));
  if (kind == "linear") {
    scaling.kind = factor == 1.0 ? RopeScaling::Kind::kNone : RopeScaling::Kind::kLinear;
    scaling.factor = static_cast<float>(factor);
  } else if (kind == "yarn") {
    scaling.kind = RopeScaling::Kind::kYarn;
    scaling.factor = static_cast<float>(factor);
    TQ_ASSIGN(scaling.original_context,
              file.get_int_or(keys.key("rope.scaling.original_context_length"), spec.context_max));
    TQ_ASSIGN(const double fast, keys.get_float_or("rope.scaling.yarn_beta_fast", 32.0));
    TQ_ASSIGN(const double slow, keys.get_float_or("rope.scaling.yarn_beta_slow", 1.0));
    TQ_ASSIGN(const double attention, keys.get_float_or("rope.scaling.attn_factor", 1.0));
    TQ_ASSIGN(const double more, keys.get_float_or("rope.scaling.yarn_attn_factor", 1.0));
    TQ_ASSIGN(const double ramp, keys.get_float_or("rope.scaling.yarn_ext_factor", 1.0));
    if (ramp != 1.0) return keys.unsupported("rope.scaling.yarn_ext_factor", "only 1 is supported");
    scaling.beta_fast = static_cast<float>(fast);
    scaling.beta_slow = static_cast<float>(slow);
    const double magnitude = factor > 1.0 ? 1.0 + 0.1 * std::log(factor) : 1.0;
    scaling.attention_factor = static_cast<float>(attention * more * magnitude);
  } else if (kind != "none") {
    return keys.unsupported("rope.scaling.type", shown(kind) + "; supported are linear and yarn");
  }
  const GgufTensor* freqs = find_tensor(file, "rope_freqs.weight");
  if (freqs == nullptr) return {};
  if (scaling.kind != RopeScaling::Kind::kNone) {
    return keys.unsupported("rope.scaling.type", "together with rope_freqs.weight");
  }
  if (freqs->type != WeightType::kF32 || freqs->shape.size() != 1) {
    return Error{Code::kCorrupt, "tensor rope_freqs.weight must be a vector of F32", file.path()};
  }
  const WeightView view{"rope_freqs.weight", freqs->type, freqs->shape, freqs->bytes};
  scaling.kind = RopeScaling::Kind::kFactors;
  scaling.freq_factors.resize(static_cast<size_t>(view.n_elements()));
  return dequantize(view, 0, scaling.freq_factors);
}

Result<void> read_vocab_size(const GgufFile& file, const ArchKeys& keys, ModelSpec& spec) {
  const auto tokens = file.metadata().find("tokenizer.ggml.tokens");
  if (tokens != file.metadata().end() && tokens->second.is_array) {
    spec.vocab_size = static_cast<int>(std::min<uint64_t>(tokens->second.count, INT32_MAX));
    return {};
  }
  TQ_ASSIGN(spec.vocab_size, keys.get_int("vocab_size"));
  return {};
}

Result<void> read_attention(const GgufFile& file, const ArchKeys& keys, ModelSpec& spec) {
  TQ_ASSIGN(spec.n_heads, keys.get_int("attention.head_count"));
  TQ_ASSIGN(spec.n_kv_heads, keys.get_int_or("attention.head_count_kv", spec.n_heads));
  if (!keys.has("attention.key_length") &&
      (spec.n_heads < 1 || spec.hidden < 1 || spec.hidden % spec.n_heads != 0)) {
    return Error{Code::kCorrupt,
                 "the hidden size " + std::to_string(spec.hidden) + " is no multiple of " +
                     std::to_string(spec.n_heads) + " heads, and " +
                     shown(keys.key("attention.key_length")) + " is missing",
                 file.path()};
  }
  const int even_split = spec.n_heads < 1 ? 0 : spec.hidden / spec.n_heads;
  TQ_ASSIGN(spec.head_dim, keys.get_int_or("attention.key_length", even_split));
  TQ_ASSIGN(const int value_dim, keys.get_int_or("attention.value_length", even_split));
  if (value_dim != spec.head_dim) {
    return keys.unsupported("attention.value_length", "values of " + std::to_string(value_dim) +
                                                          " beside keys of " +
                                                          std::to_string(spec.head_dim));
  }
  TQ_ASSIGN(spec.rope_dim, keys.get_int_or("rope.dimension_count", spec.head_dim));
  return {};
}

Result<ModelSpec> read_spec(const GgufFile& file) {
  ModelSpec spec;
  TQ_ASSIGN(const std::string_view arch, file.get_string("general.architecture"));
  if (arch != "llama" && arch != "qwen2" && arch != "qwen3") {
    return Error{Code::kUnsupported,
                 "the architecture " + shown(arch) +
                     " is not supported; supported are llama (Mistral too), qwen2 and qwen3",
                 file.path()};
  }
  spec.family = std::string(arch);
  spec.name = std::filesystem::path(file.path()).stem().string();
  if (file.has("general.name")) {
    TQ_ASSIGN(spec.name, file.get_string("general.name"));
  }
  const ArchKeys keys(file, spec.family);
  TQ_ASSIGN(spec.n_layers, keys.get_int("block_count"));
  TQ_ASSIGN(spec.hidden, keys.get_int("embedding_length"));
  TQ_ASSIGN(spec.intermediate, keys.get_int("feed_forward_length"));
  TQ_ASSIGN(spec.context_max, file.get_int(keys.key("context_length")));
  TQ_TRY(read_attention(file, keys, spec));
  TQ_TRY(read_vocab_size(file, keys, spec));
  TQ_ASSIGN(const double eps, file.get_float(keys.key("attention.layer_norm_rms_epsilon")));
  spec.rms_eps = static_cast<float>(eps);
  TQ_ASSIGN(spec.rope_theta, keys.get_float_or("rope.freq_base", 10000.0));
  TQ_TRY(refuse_unsupported(file, keys, spec.context_max));
  TQ_TRY(read_scaling(file, keys, spec));
  spec.tie_embeddings = find_tensor(file, "output.weight") == nullptr;
  spec.qkv_bias = find_tensor(file, "blk.0.attn_q.bias") != nullptr;
  spec.qk_norm = find_tensor(file, "blk.0.attn_q_norm.weight") != nullptr;
  if (file.has("tokenizer.chat_template")) {
    TQ_ASSIGN(spec.chat_template, file.get_string("tokenizer.chat_template"));
  }
  TQ_TRY(check_spec(spec, file.path()));
  return spec;
}

}  // namespace

Result<ModelSpec> gguf_spec(const GgufFile& file) {
  Result<ModelSpec> spec = read_spec(file);
  if (spec || spec.error().code != Code::kNotFound) return spec;
  // The file is there; a key that every model needs is not.
  return Error{Code::kCorrupt, spec.error().message, spec.error().where};
}

}  // namespace tq::models
