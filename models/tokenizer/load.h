#pragma once
// Loaders: a Tokenizer from each kind of file. Called at start-up, any thread; exceptions of
// libraries stop here. A piece of a file that this code does not know is kUnsupported and named; a
// file that contradicts itself is kCorrupt.

#include <memory>
#include <string>
#include <string_view>

#include "config/result.h"
#include "models/tokenizer/tokenizer.h"
#include "models/tokenizer/vocab.h"

namespace tq::models {

// Model "gpt2" (byte-level BPE by merges) or "llama" (sentencepiece BPE by scores, with byte
// fallback).
Result<std::unique_ptr<Tokenizer>> from_vocab(const GgufVocab& vocab);

// The texts of a Hugging Face folder; all but the first may be empty.
struct TokenizerFiles {
  std::string_view tokenizer_json = {};
  std::string_view tokenizer_config_json = {};   // names bos, eos, pad, unk
  std::string_view generation_config_json = {};  // eos_token_id: further ends of a turn
};
Result<std::unique_ptr<Tokenizer>> from_tokenizer_json(const TokenizerFiles& files);

// A sentencepiece .model file of any of its kinds. The file does not say whether a text begins with
// bos: it does, unless tokenizer_config.json says otherwise.
struct SentencePieceOptions {
  std::string_view tokenizer_config_json = {};   // add_bos_token, add_eos_token; may be empty
  std::string_view generation_config_json = {};  // as above
};
Result<std::unique_ptr<Tokenizer>> from_sentencepiece(const std::string& path,
                                                      const SentencePieceOptions& options);

}  // namespace tq::models
