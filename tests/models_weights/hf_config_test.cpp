// config.json variants: what each family's settings become, and which are refused by name.
#include <catch2/catch.hpp>
#include <cmath>
#include <nlohmann/json.hpp>
#include <string>

#include "models/weights/hf_config.h"

namespace tq::models {
namespace {

using nlohmann::json;
using Kind = RopeScaling::Kind;

json base(const std::string& model_type) {
  return {{"model_type", model_type},
          {"hidden_size", 64},
          {"intermediate_size", 128},
          {"num_hidden_layers", 2},
          {"num_attention_heads", 8},
          {"num_key_value_heads", 2},
          {"vocab_size", 100},
          {"max_position_embeddings", 4096},
          {"rms_norm_eps", 1e-5},
          {"hidden_act", "silu"},
          {"tie_word_embeddings", false},
          {"sliding_window", nullptr}};
}

ModelSpec spec_of(const json& config) {
  auto spec = hf_spec(config.dump(), "config.json");
  INFO((spec ? std::string() : spec.error().describe()));
  REQUIRE(spec);
  return std::move(spec).value();
}

void check_refused(const json& config, Code code, const std::string& says) {
  const auto spec = hf_spec(config.dump(), "config.json");
  INFO("expected to say: " << says);
  REQUIRE_FALSE(spec);
  INFO(spec.error().describe());
  CHECK(spec.error().code == code);
  CHECK(spec.error().where == "config.json");
  CHECK(spec.error().message.find(says) != std::string::npos);
}

json with(json config, const std::string& name, const json& value) {
  config[name] = value;
  return config;
}

TEST_CASE("families differ in biases, head norms and defaults") {
  const ModelSpec llama = spec_of(base("llama"));
  CHECK(llama.family == "llama");
  CHECK(llama.head_dim == 8);
  CHECK(llama.rope_dim == 8);
  CHECK(llama.rope_theta == 10000.0);
  CHECK(llama.rope_scaling.kind == Kind::kNone);
  CHECK_FALSE(llama.qkv_bias);
  CHECK(spec_of(base("mistral")).family == "mistral");
  CHECK(spec_of(base("qwen2")).qkv_bias);
  CHECK(spec_of(base("qwen3")).qk_norm);
  CHECK(spec_of(base("qwen3")).head_dim == 128);
  CHECK(spec_of(with(base("qwen3"), "head_dim", 32)).head_dim == 32);
  json no_kv = base("llama");
  no_kv.erase("num_key_value_heads");
  CHECK(spec_of(no_kv).n_kv_heads == 8);
  CHECK(spec_of(with(base("llama"), "tie_word_embeddings", true)).tie_embeddings);
  CHECK(spec_of(with(base("llama"), "architectures", {"LlamaForCausalLM"})).family == "llama");
}

TEST_CASE("rope scaling of transformers 4 and 5") {
  const json linear = {{"type", "linear"}, {"factor", 2.0}};
  CHECK(spec_of(with(base("llama"), "rope_scaling", linear)).rope_scaling.kind == Kind::kLinear);
  CHECK(spec_of(with(base("llama"), "rope_scaling", linear)).rope_scaling.factor == 2.0f);

  const json llama3 = {{"rope_type", "llama3"},  {"factor", 32.0},
                       {"low_freq_factor", 1.0}, {"high_freq_factor", 4.0},
                       {"rope_theta", 500000.0}, {"original_max_position_embeddings", 8192}};
  const ModelSpec three = spec_of(with(base("llama"), "rope_parameters", llama3));
  CHECK(three.rope_scaling.kind == Kind::kLlama3);
  CHECK(three.rope_theta == 500000.0);
  CHECK(three.rope_scaling.original_context == 8192);

  // Qwen 2.5's documented YaRN setting: the context grows to the stretched length.
  const json yarn = {{"type", "yarn"}, {"factor", 4.0}, {"original_max_position_embeddings", 4096}};
  const ModelSpec stretched = spec_of(with(base("qwen2"), "rope_scaling", yarn));
  CHECK(stretched.rope_scaling.kind == Kind::kYarn);
  CHECK(stretched.context_max == 16384);
  CHECK(stretched.rope_scaling.attention_factor == static_cast<float>(0.1 * std::log(4.0) + 1.0));
  json fixed = yarn;
  fixed["attention_factor"] = 1.0;
  CHECK(spec_of(with(base("qwen2"), "rope_scaling", fixed)).rope_scaling.attention_factor == 1.0f);
  json scaled = yarn;
  scaled["mscale"] = 1.0;
  scaled["mscale_all_dim"] = 1.0;
  CHECK(spec_of(with(base("qwen2"), "rope_scaling", scaled)).rope_scaling.attention_factor == 1.0f);

  CHECK(spec_of(with(base("llama"), "rope_scaling", {{"type", "default"}})).rope_scaling.kind ==
        Kind::kNone);
  check_refused(with(base("llama"), "rope_scaling", {{"type", "dynamic"}, {"factor", 2.0}}),
                Code::kUnsupported, "rope_scaling.rope_type \"dynamic\"");
  check_refused(with(base("llama"), "rope_scaling", {{"type", "longrope"}}), Code::kUnsupported,
                "longrope");
  check_refused(with(base("llama"), "rope_scaling", {{"type", "linear"}}), Code::kCorrupt,
                "rope_scaling.factor is missing");
  check_refused(with(base("llama"), "rope_scaling", {{"type", "linear"}, {"factor", 0}}),
                Code::kCorrupt, "factor must be positive");
  check_refused(with(base("llama"), "rope_scaling", 3), Code::kCorrupt, "must be an object");
  check_refused(with(base("llama"), "rope_parameters", {{"full_attention", json::object()}}),
                Code::kUnsupported, "differs between layers");
}

TEST_CASE("settings that would change the output are refused by name") {
  check_refused(base("gpt2"), Code::kUnsupported, "model_type \"gpt2\"");
  check_refused(json::object(), Code::kUnsupported, "model_type");
  check_refused(with(base("llama"), "architectures", {"LlamaForSequenceClassification"}),
                Code::kUnsupported, "architectures");
  check_refused(with(base("llama"), "quantization_config", {{"bits", 4}}), Code::kUnsupported,
                "quantization_config");
  check_refused(with(base("llama"), "hidden_act", "gelu"), Code::kUnsupported,
                "hidden_act \"gelu\"");
  check_refused(with(base("llama"), "attention_bias", true), Code::kUnsupported, "attention_bias");
  check_refused(with(base("qwen3"), "attention_bias", true), Code::kUnsupported, "attention_bias");
  check_refused(with(base("llama"), "mlp_bias", true), Code::kUnsupported, "mlp_bias");
  check_refused(with(base("llama"), "partial_rotary_factor", 0.5), Code::kUnsupported,
                "partial_rotary_factor");
  check_refused(with(base("mistral"), "sliding_window", 1024), Code::kUnsupported,
                "sliding_window 1024");
  json implied = with(base("mistral"), "max_position_embeddings", 32768);
  implied.erase("sliding_window");
  check_refused(implied, Code::kUnsupported, "defaults to 4096");
  json qwen = with(base("qwen2"), "sliding_window", 1024);
  CHECK(spec_of(qwen).context_max == 4096);  // stated, and not in use
  check_refused(with(qwen, "use_sliding_window", true), Code::kUnsupported, "sliding_window");
  check_refused(with(base("qwen3"), "layer_types", {"full_attention", "sliding_attention"}),
                Code::kUnsupported, "layer_types");
}

TEST_CASE("values out of range or of another type are refused by field") {
  check_refused(with(base("llama"), "hidden_size", "64"), Code::kCorrupt, "hidden_size");
  check_refused(with(base("llama"), "hidden_size", -1), Code::kCorrupt, "hidden_size");
  check_refused(with(base("llama"), "hidden_size", 1ull << 63), Code::kCorrupt, "hidden_size");
  check_refused(with(base("llama"), "hidden_size", 65), Code::kCorrupt, "no multiple of 8 heads");
  check_refused(with(base("llama"), "num_attention_heads", 0), Code::kCorrupt, "num_attention");
  check_refused(with(base("llama"), "num_key_value_heads", 3), Code::kCorrupt, "key-value heads");
  check_refused(with(base("llama"), "num_hidden_layers", 1 << 30), Code::kCorrupt, "layers");
  check_refused(with(base("llama"), "vocab_size", 1 << 30), Code::kCorrupt, "vocabulary");
  check_refused(with(base("llama"), "head_dim", 257), Code::kCorrupt, "head dimension");
  check_refused(with(base("llama"), "head_dim", 7), Code::kCorrupt, "even");
  check_refused(with(base("llama"), "rms_norm_eps", 0), Code::kCorrupt, "epsilon");
  check_refused(with(base("llama"), "rope_theta", -1.0), Code::kCorrupt, "rope base");
  check_refused(with(base("llama"), "tie_word_embeddings", "yes"), Code::kCorrupt, "tie_word");
  json missing = base("llama");
  missing.erase("num_hidden_layers");
  check_refused(missing, Code::kCorrupt, "num_hidden_layers is missing");
  check_refused(with(base("qwen2"), "rope_scaling",
                     {{"type", "yarn"}, {"factor", 2}, {"original_max_position_embeddings", 0}}),
                Code::kCorrupt, "original context");
  for (const char* text : {"", "{", "[]", "3", "{\"model_type\": NaN}"}) {
    const auto spec = hf_spec(text, "config.json");
    REQUIRE_FALSE(spec);
    CHECK(spec.error().code == Code::kCorrupt);
  }
}

TEST_CASE("chat templates of tokenizer_config.json") {
  const auto read = [](const std::string& text) {
    return hf_chat_template(text, "tokenizer_config.json");
  };
  CHECK(read("{}").value().empty());
  CHECK(read("{\"chat_template\": null}").value().empty());
  CHECK(read("{\"chat_template\": \"t\"}").value() == "t");
  CHECK(read("{\"chat_template\": [{\"name\": \"a\", \"template\": \"one\"}]}").value() == "one");
  CHECK(read("{\"chat_template\": []}").value().empty());
  CHECK(read("{\"chat_template\": [3]}").error().code == Code::kCorrupt);
  CHECK(read("{\"chat_template\": {}}").error().code == Code::kCorrupt);
  CHECK(read("nonsense").error().code == Code::kCorrupt);
}

}  // namespace
}  // namespace tq::models
