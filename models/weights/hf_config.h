#pragma once
// config.json of a Hugging Face checkpoint -> ModelSpec. Families: llama, mistral, qwen2, qwen3,
// written by transformers 4 (rope_scaling, rope_theta) or 5 (rope_parameters). Pure functions; any
// thread.

#include <cstddef>
#include <string>
#include <string_view>

#include "config/result.h"
#include "models/model_spec.h"

namespace tq::models {

inline constexpr size_t kJsonFileBytesMax = 16 << 20;  // config, index and tokenizer_config files

// A setting that would change the output and is not implemented (another model_type, a sliding
// window in use, quantised weights ...) is kUnsupported naming the field; a wrong type or value is
// kCorrupt. The result has passed check_spec(); name and chat_template are the folder's to
// fill.
Result<ModelSpec> hf_spec(std::string_view config_json, const std::string& path);

// "chat_template" of tokenizer_config.json: a string, or a list of {"name", "template"} of which
// "default" is taken, else the first. Empty where there is none.
Result<std::string> hf_chat_template(std::string_view tokenizer_config_json,
                                     const std::string& path);

}  // namespace tq::models
