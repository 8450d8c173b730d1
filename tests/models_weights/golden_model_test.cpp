// The tiny models of tests/golden/weights: every tensor by name, shape, type and decoded bytes, and
// the specs.
#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "models/weights/gguf_source.h"
#include "models/weights/gguf_vocab.h"
#include "models/weights/weight_source.h"
#include "tests/models_weights/test_files.h"

namespace tq::models {
namespace {

using Kind = RopeScaling::Kind;

std::unique_ptr<WeightSource> open_golden(const std::string& name) {
  auto opened = open_model(testing::golden(name));
  INFO((opened ? std::string() : opened.error().describe()));
  REQUIRE(opened);
  return std::move(opened).value();
}

std::string decoded_hash(const WeightView& weight) {
  std::vector<float> values(static_cast<size_t>(weight.n_elements()));
  REQUIRE(dequantize(weight, 0, values));
  return testing::fnv1a(std::as_bytes(std::span(values)));
}

void check_manifest(const WeightSource& source, const std::string& manifest) {
  const auto json = nlohmann::json::parse(testing::read_text(testing::golden(manifest)));
  for (const auto& [name, expected] : json.at("tensors").items()) {
    INFO("tensor " << name);
    const auto weight = source.find(hugging_face_name(name));
    REQUIRE(weight);
    CHECK(weight->name == hugging_face_name(name));
    CHECK(weight->shape == expected.at("shape").get<std::vector<int64_t>>());
    CHECK(to_string(weight->type) == expected.at("type").get<std::string>());
    CHECK(decoded_hash(*weight) == expected.at("fnv1a").get<std::string>());
  }
  CHECK(source.names().size() == json.at("tensors").size());
  CHECK_FALSE(source.find("no.such.weight"));
  CHECK_FALSE(source.find(""));
}

TEST_CASE("tiny llama GGUF: spec and tensors") {
  const auto source = open_golden("tiny_llama.gguf");
  const ModelSpec& spec = source->spec();
  CHECK(spec.family == "llama");
  CHECK(spec.name == "tiny_llama");
  CHECK(spec.n_layers == 2);
  CHECK(spec.hidden == 64);
  CHECK(spec.intermediate == 96);
  CHECK(spec.n_heads == 4);
  CHECK(spec.n_kv_heads == 2);
  CHECK(spec.head_dim == 16);
  CHECK(spec.rope_dim == 16);
  CHECK(spec.vocab_size == 96);
  CHECK(spec.context_max == 128);
  CHECK(spec.rope_theta == 100000.0);
  CHECK(spec.rms_eps == 1e-5f);
  CHECK(spec.tie_embeddings);
  CHECK_FALSE(spec.qkv_bias);
  CHECK(spec.chat_template == "{% for m in messages %}{{ m['content'] }}{% endfor %}");
  CHECK(source->rope_is_interleaved());
  check_manifest(*source, "tiny_llama.json");
}

TEST_CASE("tiny llama 3 GGUF: rope_freqs becomes the scaling, the head is untied") {
  const auto source = open_golden("tiny_llama3.gguf");
  const ModelSpec& spec = source->spec();
  CHECK_FALSE(spec.tie_embeddings);
  CHECK(spec.vocab_size == 24);
  CHECK(spec.rope_scaling.kind == Kind::kFactors);
  CHECK(spec.rope_scaling.freq_factors == std::vector<float>{1, 1, 1, 1.5f, 3, 8, 8, 8});
  CHECK_FALSE(source->find("rope_freqs.weight"));
  check_manifest(*source, "tiny_llama3.json");
}

TEST_CASE("tiny qwen2 GGUF: biases and YaRN") {
  const auto source = open_golden("tiny_qwen2.gguf");
  const ModelSpec& spec = source->spec();
  CHECK(spec.family == "qwen2");
  CHECK(spec.qkv_bias);
  CHECK_FALSE(source->rope_is_interleaved());
  CHECK(spec.rope_scaling.kind == Kind::kYarn);
  CHECK(spec.rope_scaling.factor == 4.0f);
  CHECK(spec.rope_scaling.original_context == 128);
  CHECK(spec.rope_scaling.beta_fast == 32.0f);
  CHECK(spec.rope_scaling.attention_factor == static_cast<float>(0.1 * std::log(4.0) + 1.0));
  check_manifest(*source, "tiny_qwen2.json");
}

TEST_CASE("tiny qwen3 GGUF: head norms, a head dimension of its own, 256-value blocks") {
  const auto source = open_golden("tiny_qwen3.gguf");
  const ModelSpec& spec = source->spec();
  CHECK(spec.family == "qwen3");
  CHECK(spec.qk_norm);
  CHECK(spec.head_dim == 16);
  CHECK(spec.hidden == 256);
  CHECK_FALSE(source->rope_is_interleaved());
  check_manifest(*source, "tiny_qwen3.json");
}

TEST_CASE("plain llama folder: llama3 scaling, bf16, template field") {
  const auto source = open_golden("hf_llama");
  const ModelSpec& spec = source->spec();
  CHECK(spec.family == "llama");
  CHECK(spec.name == "hf_llama");
  CHECK(spec.n_layers == 2);
  CHECK(spec.hidden == 32);
  CHECK(spec.intermediate == 48);
  CHECK(spec.n_heads == 4);
  CHECK(spec.n_kv_heads == 2);
  CHECK(spec.head_dim == 8);
  CHECK(spec.vocab_size == 40);
  CHECK(spec.context_max == 2048);
  CHECK(spec.rope_theta == 500000.0);
  CHECK(spec.rope_scaling.kind == Kind::kLlama3);
  CHECK(spec.rope_scaling.factor == 8.0f);
  CHECK(spec.rope_scaling.low_freq_factor == 1.0f);
  CHECK(spec.rope_scaling.high_freq_factor == 4.0f);
  CHECK(spec.rope_scaling.original_context == 512);
  CHECK_FALSE(spec.tie_embeddings);
  CHECK(spec.chat_template == "{{ messages[0]['content'] }}");
  CHECK_FALSE(source->rope_is_interleaved());
  check_manifest(*source, "hf_llama.json");
}

TEST_CASE("sharded qwen2 folder: rope_parameters, biases, named templates") {
  const auto source = open_golden("hf_qwen2/");
  const ModelSpec& spec = source->spec();
  CHECK(spec.name == "hf_qwen2");
  CHECK(spec.qkv_bias);
  CHECK(spec.tie_embeddings);
  CHECK(spec.rope_theta == 1000000.0);
  CHECK(spec.rope_scaling.kind == Kind::kNone);
  CHECK(spec.chat_template == "plain {{ bos_token }}");
  check_manifest(*source, "hf_qwen2.json");
}

TEST_CASE("qwen3 folder: head norms, fp32, the template's own file wins") {
  const auto source = open_golden("hf_qwen3");
  CHECK(source->spec().qk_norm);
  CHECK(source->spec().head_dim == 16);
  CHECK(source->spec().chat_template == "from the file");
  check_manifest(*source, "hf_qwen3.json");
}

TEST_CASE("the GGUF vocabulary is handed over whole") {
  const auto read = read_gguf_vocab(testing::golden("tiny_llama.gguf"));
  REQUIRE(read);
  const GgufVocab& vocab = *read;
  CHECK(vocab.model == "gpt2");
  CHECK(vocab.pre == "smollm");
  REQUIRE(vocab.tokens.size() == 96);
  CHECK(vocab.tokens[0] == "<|endoftext|>");
  CHECK(vocab.tokens[3] == "a");
  CHECK(vocab.tokens[29] == "aa");
  REQUIRE(vocab.token_types.size() == 96);
  CHECK(vocab.token_types[2] == TokenKind::kControl);
  CHECK(vocab.token_types[3] == TokenKind::kNormal);
  CHECK(vocab.merges == std::vector<std::string>{"a a", "b b", "c c"});
  CHECK(vocab.scores.empty());
  CHECK(vocab.bos == 1);
  CHECK(vocab.eos == 2);
  CHECK(vocab.unk == 0);
  CHECK(vocab.pad == -1);
  CHECK(vocab.add_bos == std::optional<bool>(false));
  CHECK(vocab.add_space_prefix == std::optional<bool>(false));
  CHECK_FALSE(vocab.add_eos);

  const auto none = read_gguf_vocab(testing::golden("tiny_qwen2.gguf"));
  REQUIRE_FALSE(none);
  CHECK(none.error().code == Code::kNotFound);
}

TEST_CASE("what is no model is said so") {
  const auto code = [](const std::string& path) {
    const auto opened = open_model(path);
    REQUIRE_FALSE(opened);
    CHECK_FALSE(opened.error().where.empty());
    return opened.error().code;
  };
  CHECK(code("/nonexistent/model.gguf") == Code::kNotFound);
  CHECK(code(testing::golden("gen_weights.py")) == Code::kCorrupt);
  CHECK(code(testing::golden("decode")) == Code::kNotFound);  // a folder without config.json
  CHECK(code(testing::golden("hf_llama/model.safetensors")) == Code::kUnsupported);
  CHECK(code("/dev/null") == Code::kIo);
  const testing::TempFolder folder;
  testing::write_bytes(folder.file("empty.gguf"), {});
  CHECK(code(folder.file("empty.gguf")) == Code::kCorrupt);
}

}  // namespace
}  // namespace tq::models
