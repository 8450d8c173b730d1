#pragma once
// TextSet: the texts that quality is measured on, as windows of tokens. Plain value.

#include <string>
#include <vector>

#include "config/ids.h"
#include "config/result.h"
#include "models/tokenizer/tokenizer.h"

namespace tq::bench {

struct Text {
  std::string name;  // file name without folder and ending
  std::vector<TokenId> tokens;
};

// Plain files of UTF-8; a folder stands for its *.txt, by name. Errors name the file.
Result<std::vector<Text>> load_texts(const std::vector<std::string>& paths,
                                     const models::Tokenizer& tokenizer);

// The first windows of n tokens, one after the other: as many as start within n_tokens, at least
// one. A text shorter than one window is an error.
Result<std::vector<std::vector<TokenId>>> windows_of(const Text& text, int64_t n, int64_t n_tokens);

}  // namespace tq::bench
