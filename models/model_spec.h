#pragma once
// ModelSpec: what the engine and the decoder need to know of a model, read from its files. Plain
// value.

#include <cstdint>
#include <string>
#include <vector>

namespace tq::models {

struct RopeScaling {
  // kFactors: GGUF's rope_freqs.weight, llama3 scaling worked out by the converter (freq_factors).
  enum class Kind { kNone, kLinear, kLlama3, kYarn, kFactors };
  Kind kind = Kind::kNone;
  float factor = 1.0f;
  float low_freq_factor = 1.0f;     // llama3
  float high_freq_factor = 4.0f;    // llama3
  int64_t original_context = 0;     // llama3, yarn
  float beta_fast = 32.0f;          // yarn
  float beta_slow = 1.0f;           // yarn
  float attention_factor = 1.0f;    // yarn: multiplies cos and sin; already resolved from the files
  std::vector<float> freq_factors;  // kFactors: [rope_dim / 2], divisors of inverse frequencies
};

struct ModelSpec {
  std::string family;  // "llama", "qwen2", "qwen3", "mistral" ...: the key of models/registry.cpp
  std::string name;    // from the files (general.name), for a person
  int n_layers = 0;
  int hidden = 0;
  int intermediate = 0;
  int n_heads = 0;
  int n_kv_heads = 0;
  int head_dim = 0;
  int vocab_size = 0;
  int64_t context_max = 0;
  float rms_eps = 1e-5f;
  double rope_theta = 10000.0;
  int rope_dim = 0;  // rotated dimensions of a head, from the first; head_dim unless partial
  RopeScaling rope_scaling;
  bool tie_embeddings = false;  // logits use the embedding matrix
  bool qkv_bias = false;
  bool qk_norm = false;       // RMS norm of each q and k head before RoPE (Qwen 3)
  std::string chat_template;  // Jinja source; empty where the files carry none
};

}  // namespace tq::models
