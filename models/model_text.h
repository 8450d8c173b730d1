#pragma once
// The words of a model: its tokenizer and its chat template, found in what --model names. Main
// thread, at the start.

#include <memory>
#include <string>

#include "config/result.h"
#include "models/chat_template/chat_template.h"
#include "models/tokenizer/tokenizer.h"

namespace tq::models {

// A .gguf file carries its vocabulary; a Hugging Face folder has tokenizer.json or tokenizer.model.
Result<std::unique_ptr<Tokenizer>> load_tokenizer(const std::string& model_path);

// nullptr where the model has no template; one that cannot be run is an error.
Result<std::unique_ptr<ChatTemplate>> load_chat_template(const std::string& source);

}  // namespace tq::models
