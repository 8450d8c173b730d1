#include "models/weights/hf_config.h"

#include <array>
#include <cmath>

#include "models/weights/gguf.h"
#include "models/weights/json_fields.h"
#include "models/weights/tensor_check.h"

namespace tq::models {
namespace {

using nlohmann::json;

struct Family {
  const char* model_type;
  const char* architecture;
  int64_t sliding_window;  // transformers' default where the field is missing; 0: none
  int head_dim;            // likewise; 0: hidden / heads
  bool qkv_bias;           // the family's own, not a setting
  bool qk_norm;
};

constexpr std::array<Family, 4> kFamilies = {{
    {"llama", "LlamaForCausalLM", 0, 0, false, false},
    {"mistral", "MistralForCausalLM", 4096, 0, false, false},
    {"qwen2", "Qwen2ForCausalLM", 0, 0, true, false},
    {"qwen3", "Qwen3ForCausalLM", 0, 128, false, true},
}};

Result<const Family*> find_family(const JsonFields& fields) {
  TQ_ASSIGN(const std::string model_type, fields.text_or("model_type", ""));
  const Family* family = nullptr;
  for (const Family& candidate : kFamilies) {
    if (model_type == candidate.model_type) family = &candidate;
  }
  if (family == nullptr) {
    return fields.error(
        Code::kUnsupported, "model_type",
        shown(model_type) + " is not supported; supported are llama, mistral, qwen2 and qwen3");
  }
  const json* architectures = fields.find("architectures");
  if (architectures == nullptr) return family;
  for (const json& name : *architectures) {
    if (name.is_string() && name.get_ref<const std::string&>() == family->architecture) {
      return family;
    }
  }
  return fields.error(Code::kUnsupported, "architectures",
                      std::string("does not list ") + family->architecture);
}

// Settings that would change the output if they were skipped.
Result<void> refuse_unsupported(const JsonFields& fields,
                                const Family& family,
                                int64_t context_max) {
  if (fields.find("quantization_config") != nullptr) {
    return fields.error(Code::kUnsupported, "quantization_config",
                        "is set: weights must be F32, F16 or BF16, or a GGUF file");
  }
  TQ_ASSIGN(const std::string activation, fields.text_or("hidden_act", "silu"));
  if (activation != "silu") {
    return fields.error(Code::kUnsupported, "hidden_act",
                        shown(activation) + "; supported is silu");
  }
  for (const char* name : {"attention_bias", "mlp_bias", "use_mrope"}) {
    // Qwen 2 files may carry attention_bias: its biases are the family's own.
    TQ_ASSIGN(const bool set, fields.flag_or(name, false));
    if (set && !(family.qkv_bias && std::string_view(name) == "attention_bias")) {
      return fields.error(Code::kUnsupported, name, "is true");
    }
  }
  TQ_ASSIGN(const double rotary, fields.number_or("partial_rotary_factor", 1.0));
  if (rotary != 1.0) {
    return fields.error(Code::kUnsupported, "partial_rotary_factor", "is not 1");
  }
  const bool present = fields.find("sliding_window") != nullptr;
  const bool is_qwen = family.qkv_bias || family.qk_norm;
  TQ_ASSIGN(const int64_t window, fields.integer_or("sliding_window", 0));
  TQ_ASSIGN(const bool used, fields.flag_or("use_sliding_window", !is_qwen));
  if (present && used && window < context_max) {
    return fields.error(Code::kUnsupported, "sliding_window",
                        std::to_string(window) + " is below the context length " +
                            std::to_string(context_max) + "; only full attention is supported");
  }
  const json* layers = fields.find("layer_types");
  if (layers == nullptr) return {};
  for (const json& layer : *layers) {
    if (!layer.is_string() || layer.get_ref<const std::string&>() != "full_attention") {
      return fields.error(Code::kUnsupported, "layer_types",
                          "holds a layer other than full_attention");
    }
  }
  return {};
}

double yarn_magnitude(double factor, double scale) {
  return factor <= 1.0 ? 1.0 : 0.1 * scale * std::log(factor) + 1.0;
}

Result<void> read_yarn(const JsonFields& rope, ModelSpec& spec) {
  RopeScaling& scaling = spec.rope_scaling;
  scaling.kind = RopeScaling::Kind::kYarn;
  TQ_ASSIGN(scaling.original_context,
            rope.integer_or("original_max_position_embeddings", spec.context_max));
  const double stretch =
      static_cast<double>(spec.context_max) / static_cast<double>(scaling.original_context);
  TQ_ASSIGN(const double factor, rope.number_or("factor", stretch));
  TQ_ASSIGN(const double fast, rope.number_or("beta_fast", 32.0));
  TQ_ASSIGN(const double slow, rope.number_or("beta_slow", 1.0));
  TQ_ASSIGN(const double mscale, rope.number_or("mscale", 0.0));
  TQ_ASSIGN(const double mscale_all, rope.number_or("mscale_all_dim", 0.0));
  double attention = yarn_magnitude(factor, 1.0);
  if (mscale != 0.0 && mscale_all != 0.0) {
    attention = yarn_magnitude(factor, mscale) / yarn_magnitude(factor, mscale_all);
  }
  TQ_ASSIGN(attention, rope.number_or("attention_factor", attention));
  TQ_ASSIGN(const bool truncate, rope.flag_or("truncate", true));
  if (!truncate) return rope.error(Code::kUnsupported, "truncate", "is false");
  scaling.factor = static_cast<float>(factor);
  scaling.beta_fast = static_cast<float>(fast);
  scaling.beta_slow = static_cast<float>(slow);
  scaling.attention_factor = static_cast<float>(attention);
  // Checkpoints stretched by YaRN state the trained length or the stretched one; the larger holds.
  const double stretched = static_cast<double>(scaling.original_context) * factor;
  if (stretched > static_cast<double>(spec.context_max) && stretched < 1e9) {
    spec.context_max = static_cast<int64_t>(stretched);
  }
  return {};
}

Result<void> read_llama3(const JsonFields& rope, ModelSpec& spec) {
  RopeScaling& scaling = spec.rope_scaling;
  scaling.kind = RopeScaling::Kind::kLlama3;
  TQ_ASSIGN(const double factor, rope.number("factor"));
  TQ_ASSIGN(const double low, rope.number("low_freq_factor"));
  TQ_ASSIGN(const double high, rope.number("high_freq_factor"));
  TQ_ASSIGN(scaling.original_context, rope.integer("original_max_position_embeddings"));
  scaling.factor = static_cast<float>(factor);
  scaling.low_freq_factor = static_cast<float>(low);
  scaling.high_freq_factor = static_cast<float>(high);
  return {};
}

Result<void> read_rope(const JsonFields& fields, const std::string& path, ModelSpec& spec) {
  TQ_ASSIGN(spec.rope_theta, fields.number_or("rope_theta", 10000.0));
  const char* name = fields.find("rope_parameters") != nullptr ? "rope_parameters" : "rope_scaling";
  const json* object = fields.find(name);
  if (object == nullptr) return {};
  if (!object->is_object()) return fields.error(Code::kCorrupt, name, "must be an object");
  const JsonFields rope(*object, path, std::string(name) + ".");
  if (rope.find("full_attention") != nullptr || rope.find("sliding_attention") != nullptr) {
    return fields.error(Code::kUnsupported, name, "differs between layers");
  }
  TQ_ASSIGN(spec.rope_theta, rope.number_or("rope_theta", spec.rope_theta));
  TQ_ASSIGN(const double partial, rope.number_or("partial_rotary_factor", 1.0));
  if (partial != 1.0) {
    return rope.error(Code::kUnsupported, "partial_rotary_factor", "is not 1");
  }
  TQ_ASSIGN(const std::string old_kind, rope.text_or("type", "default"));
  TQ_ASSIGN(const std::string kind, rope.text_or("rope_type", old_kind));
  if (kind == "default") return {};
  if (kind == "llama3") return read_llama3(rope, spec);
  if (kind == "yarn") return read_yarn(rope, spec);
  if (kind == "linear") {
    TQ_ASSIGN(const double factor, rope.number("factor"));
    spec.rope_scaling.kind = RopeScaling::Kind::kLinear;
    spec.rope_scaling.factor = static_cast<float>(factor);
    return {};
  }
  return rope.error(Code::kUnsupported, "rope_type",
                    shown(kind) + "; supported are default, linear, llama3 and yarn");
}

Result<void> read_sizes(const JsonFields& fields, const Family& family, ModelSpec& spec) {
  TQ_ASSIGN(spec.n_layers, fields.size("num_hidden_layers"));
  TQ_ASSIGN(spec.hidden, fields.size("hidden_size"));
  TQ_ASSIGN(spec.intermediate, fields.size("intermediate_size"));
  TQ_ASSIGN(spec.vocab_size, fields.size("vocab_size"));
  TQ_ASSIGN(spec.n_heads, fields.size("num_attention_heads"));
  TQ_ASSIGN(spec.n_kv_heads, fields.size_or("num_key_value_heads", spec.n_heads));
  TQ_ASSIGN(spec.context_max, fields.size("max_position_embeddings"));
  const bool derived = fields.find("head_dim") == nullptr && family.head_dim == 0;
  if (derived && spec.hidden % spec.n_heads != 0) {
    return fields.error(Code::kCorrupt, "hidden_size",
                        std::to_string(spec.hidden) + " is no multiple of " +
                            std::to_string(spec.n_heads) + " heads, and head_dim is missing");
  }
  const int default_dim = family.head_dim != 0 ? family.head_dim : spec.hidden / spec.n_heads;
  TQ_ASSIGN(spec.head_dim, fields.size_or("head_dim", default_dim));
  spec.rope_dim = spec.head_dim;
  TQ_ASSIGN(const double eps, fields.number_or("rms_norm_eps", 1e-6));
  spec.rms_eps = static_cast<float>(eps);
  return {};
}

}  // namespace

Result<ModelSpec> hf_spec(std::string_view config_json, const std::string& path) {
  TQ_ASSIGN(const json config, parse_json_object(config_json, path));
  const JsonFields fields(config, path);
  TQ_ASSIGN(const Family* family, find_family(fields));
  ModelSpec spec;
  spec.family = family->model_type;
  spec.qkv_bias = family->qkv_bias;
  spec.qk_norm = family->qk_norm;
  TQ_TRY(read_sizes(fields, *family, spec));
  TQ_TRY(refuse_unsupported(fields, *family, spec.context_max));
  const bool window_missing = config.find("sliding_window") == config.end();
  if (window_missing && family->sliding_window != 0 && family->sliding_window < spec.context_max) {
    return fields.error(Code::kUnsupported, "sliding_window",
                        "is missing and defaults to " + std::to_string(family->sliding_window) +
                            "; state null for full attention");
  }
  TQ_TRY(read_rope(fields, path, spec));
  TQ_ASSIGN(spec.tie_embeddings, fields.flag_or("tie_word_embeddings", false));
  TQ_TRY(check_spec(spec, path));
  return spec;
}

Result<std::string> hf_chat_template(std::string_view tokenizer_config_json,
                                     const std::string& path) {
  TQ_ASSIGN(const json config, parse_json_object(tokenizer_config_json, path));
  const JsonFields fields(config, path);
  const json* value = fields.find("chat_template");
  if (value == nullptr) return std::string();
  if (value->is_string()) return value->get<std::string>();
  if (!value->is_array()) {
    return fields.error(Code::kCorrupt, "chat_template", "must be a string or a list");
  }
  std::string first;
  for (const json& entry : *value) {
    if (!entry.is_object()) {
      return fields.error(Code::kCorrupt, "chat_template", "must list objects");
    }
    const JsonFields named(entry, path, "chat_template.");
    TQ_ASSIGN(const std::string name, named.text_or("name", ""));
    TQ_ASSIGN(const std::string text, named.text_or("template", ""));
    if (name == "default") return text;
    if (first.empty()) first = text;
  }
  return first;
}

}  // namespace tq::models
