#pragma once
// The building blocks of tokenizer.json: "normalizer", "pre_tokenizer", "decoder",
// "post_processor". Each reader gives the parts, or names what it does not know. Start-up only.

#include <string>
#include <utility>
#include <vector>

#include "config/ids.h"
#include "models/tokenizer/json_fields.h"
#include "models/tokenizer/normalizer.h"
#include "models/tokenizer/pre_tokenizer.h"

namespace tq::models::text {

Result<Normalizer> read_normalizer(const Field& field);

struct PreTokenizerParts {
  PreTokenizer steps;
  bool byte_level = false;  // the last step is ByteLevel: pieces are bytes
};
Result<PreTokenizerParts> read_pre_tokenizer(const Field& field);

struct DecoderParts {
  bool byte_level = false;
  bool byte_fallback = false;
  std::vector<std::pair<std::string, std::string>> replacements;  // of literal strings, in order
  bool strips_leading_space = false;
};
Result<DecoderParts> read_decoder(const Field& field);

struct PostProcessorParts {
  std::vector<TokenId> prefix;
  std::vector<TokenId> suffix;
};
Result<PostProcessorParts> read_post_processor(const Field& field);

}  // namespace tq::models::text
