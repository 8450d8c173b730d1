#pragma once
// Tokenizer: text <-> token ids. Immutable after loading; every method may be called from any
// thread at once. No LibTorch. Loaded by models/tokenizer/load.h from GGUF metadata, tokenizer.json
// or a sentencepiece .model file.

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/ids.h"
#include "config/result.h"

namespace tq::models {

struct EncodeOptions {
  bool add_special = true;    // put bos/eos around the text where the model's files say so
  bool parse_special = true;  // "<|im_end|>" in the text is the control token, not its characters
};

struct SpecialTokens {
  TokenId bos = -1;  // -1: the model has none
  TokenId eos = -1;
  TokenId pad = -1;
  TokenId unk = -1;
  std::vector<TokenId>
      stop;  // every id that ends a turn (eos, <|im_end|>, <|eot_id|> ...); holds eos
};

class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  virtual int vocab_size() const noexcept = 0;
  virtual const SpecialTokens& special() const noexcept = 0;

  // Invalid UTF-8 in `text` is encoded byte by byte, never refused.
  virtual std::vector<TokenId> encode(std::string_view text,
                                      const EncodeOptions& options) const = 0;

  // The bytes that `id` adds to a text (may end inside a UTF-8 sequence). A control token gives ""
  // unless `show_control`. Concatenating pieces gives the decoded text; a sentencepiece model's
  // first leading space is the caller's to drop (strips_leading_space()). id outside [0,
  // vocab_size) gives "".
  virtual std::string_view piece(TokenId id, bool show_control) const noexcept = 0;

  virtual bool is_control(TokenId id) const noexcept = 0;
  virtual bool strips_leading_space() const noexcept { return false; }

  // pieces joined, leading space dropped where the model does so.
  std::string decode(std::span<const TokenId> ids, bool show_control = false) const;
};

}  // namespace tq::models
