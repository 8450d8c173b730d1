#pragma once
// ByteTokenizer: id = byte for 0..255, then a few control tokens. A real Tokenizer in every respect
// but size, so that tests of engine and server need no model. Immutable; any thread.

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "models/tokenizer/tokenizer.h"

namespace tq::test {

class ByteTokenizer final : public models::Tokenizer {
 public:
  static constexpr TokenId kBos = 256;
  static constexpr TokenId kEos = 257;
  static constexpr int kVocab = 260;

  explicit ByteTokenizer(bool strips_leading_space = false) : strips_(strips_leading_space) {
    for (int i = 0; i < 256; ++i) bytes_[static_cast<size_t>(i)] = static_cast<char>(i);
    special_.bos = kBos;
    special_.eos = kEos;
    special_.stop = {kEos};
  }

  int vocab_size() const noexcept override { return kVocab; }
  const models::SpecialTokens& special() const noexcept override { return special_; }

  std::vector<TokenId> encode(std::string_view text,
                              const models::EncodeOptions& options) const override {
    std::vector<TokenId> ids;
    if (options.add_special) ids.push_back(kBos);
    for (const char c : text) ids.push_back(static_cast<unsigned char>(c));
    return ids;
  }

  std::string_view piece(TokenId id, bool show_control) const noexcept override {
    if (id >= 0 && id < 256) return {&bytes_[static_cast<size_t>(id)], 1};
    if (!show_control) return "";
    if (id == kBos) return "<bos>";
    if (id == kEos) return "<eos>";
    return id >= 0 && id < kVocab ? "<spare>" : "";
  }

  bool is_control(TokenId id) const noexcept override { return id >= 256 && id < kVocab; }
  bool strips_leading_space() const noexcept override { return strips_; }

 private:
  std::array<char, 256> bytes_{};
  models::SpecialTokens special_;
  bool strips_;
};

}  // namespace tq::test
