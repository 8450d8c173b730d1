#pragma once
// The tokenizer keys of a GGUF file, checked against each other and copied into the tokenizers' own
// struct. Pure functions; any thread.

#include <string>

#include "config/result.h"
#include "models/tokenizer/vocab.h"
#include "models/weights/gguf.h"

namespace tq::models {

// kNotFound where the file carries no tokenizer, kCorrupt where its keys contradict each other.
Result<GgufVocab> gguf_vocab(const GgufFile& file);

// The same from a path; the file is unmapped before returning.
Result<GgufVocab> read_gguf_vocab(const std::string& path);

}  // namespace tq::models
