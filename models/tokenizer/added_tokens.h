#pragma once
// AddedTokens: finds the tokens that stand outside the merges ("<|im_end|>") in a text: leftmost,
// of those the longest. Immutable once filled; any thread.

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "config/ids.h"

namespace tq::models::text {

struct AddedToken {
  std::string content;
  TokenId id = -1;
  bool control = false;      // only found where the caller parses control tokens
  bool lstrip = false;       // swallows the white space before it
  bool rstrip = false;       // and after it
  bool single_word = false;  // only between characters that are no word
  bool normalized = false;   // looked for in the normalised text (the loader's business)
};

class AddedTokens {
 public:
  struct Segment {
    TokenId id = -1;  // -1: plain text
    size_t begin = 0;
    size_t end = 0;
  };

  AddedTokens() { first_.fill(-1); }

  // An empty content is never found. Of two tokens with one content the later wins.
  void add(AddedToken token);

  bool empty() const noexcept { return tokens_.empty(); }

  // Covers `text` with segments, none empty. A control token where !parse_control is text, and
  // hides whatever lies inside it, as in Hugging Face's tokenizers.
  void split(std::string_view text, bool parse_control, std::vector<Segment>& segments) const;

 private:
  struct Node {  // of a trie over bytes
    std::vector<std::pair<uint8_t, int32_t>> children;
    int32_t token_idx = -1;
  };

  int32_t child(int32_t node, uint8_t byte) const noexcept;
  // Index of the longest token at `at`, or -1.
  int32_t longest(std::string_view text, size_t at) const noexcept;

  std::vector<AddedToken> tokens_;
  std::array<int32_t, 256> first_;  // node after one byte; -1: no token begins so
  std::vector<Node> nodes_;
};

}  // namespace tq::models::text
