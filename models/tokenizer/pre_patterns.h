#pragma once
// The pre-tokenisers that GGUF files only name (tokenizer.ggml.pre). Pure functions; any thread.

#include <span>
#include <string_view>

#include "config/result.h"

namespace tq::models::text {

struct NamedPreTokenizer {
  std::span<const std::string_view> patterns;  // splits, matches isolated, one after the other
  bool ignore_merges = false;                  // a piece that is a token is taken whole
  bool add_bos = false;                        // where the file has no add_bos_token
  bool nfc = false;                            // texts are normalised first
};

// An unknown name is kUnsupported.
Result<NamedPreTokenizer> named_pre_tokenizer(std::string_view name);

}  // namespace tq::models::text
