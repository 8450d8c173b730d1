#pragma once
// GgufVocab: the tokenizer keys of a GGUF file as plain values, so that the reader of model files
// and the tokenizers need not know each other. Filled by models/weights, read by load.h. A value;
// any thread.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "config/ids.h"

namespace tq::models {

// tokenizer.ggml.token_type; the numbers are the file format's.
enum class TokenKind : int32_t {
  kUndefined = 0,
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,      // never shown; found in a text only where the caller allows it
  kUserDefined = 4,  // found whole in any text, and shown
  kUnused = 5,
  kByte = 6,  // "<0x0A>"
};

struct GgufVocab {
  std::string model;                   // tokenizer.ggml.model: "gpt2" or "llama"
  std::string pre;                     // tokenizer.ggml.pre; empty: the file has none
  std::vector<std::string> tokens;     // by id
  std::vector<TokenKind> token_types;  // as many as tokens, or empty: all normal
  std::vector<float> scores;           // model "llama": as many as tokens
  std::vector<std::string> merges;     // model "gpt2": "left right", best first
  TokenId bos = -1;                    // -1: the file has none
  TokenId eos = -1;
  TokenId pad = -1;
  TokenId unk = -1;
  std::vector<TokenId> stop;    // further ends of a turn that the file names (eot, eom)
  std::optional<bool> add_bos;  // empty: the default of the kind of tokenizer
  std::optional<bool> add_eos;
  std::optional<bool> add_space_prefix;
};

}  // namespace tq::models
