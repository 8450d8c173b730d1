#pragma once
// BpeModel: merges the characters or bytes of one piece into vocabulary ids, best pair first.
// Linear in the piece but for a logarithm, whatever the input. Immutable; any thread, with a
// Scratch per call.

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "config/ids.h"
#include "models/tokenizer/merge_table.h"

namespace tq::models::text {

struct StringHash {
  using is_transparent = void;
  size_t operator()(std::string_view text) const noexcept {
    return std::hash<std::string_view>{}(text);
  }
};
using IdMap = std::unordered_map<std::string, TokenId, StringHash, std::equal_to<>>;

// Everything that decides how a piece becomes ids. Filled by the loaders.
struct BpeTables {
  BpeTables() { byte_ids.fill(-1); }

  MergeTable merges;
  bool byte_level = true;             // a symbol is a byte; otherwise a character
  std::array<TokenId, 256> byte_ids;  // -1: none. Not byte_level: the "<0x0A>" tokens, the fallback
  // Not byte_level: id of each character. Ids >= n_vocab are characters that only occur inside
  // longer tokens: they take part in merges, and one left over is written as its bytes.
  std::unordered_map<char32_t, int32_t> char_ids;
  std::vector<char32_t> inner_chars;  // by id - n_vocab
  int32_t n_vocab = 0;
  IdMap whole;            // not empty: a piece that is a key is that token, whatever the merges say
  TokenId unk = -1;       // a character of no id and no bytes; -1: it is dropped
  bool fuse_unk = false;  // neighbouring unknown characters are one
};

class BpeModel {
 public:
  struct Candidate {
    int32_t rank;
    int32_t at;  // index of the left symbol
    int32_t left, right;
  };
  struct Symbol {
    int32_t id;
    int32_t previous, next;  // -1: none
  };
  struct Scratch {
    std::vector<Symbol> symbols;
    std::vector<Candidate> heap;
    std::vector<int32_t> ids;
    std::vector<int32_t> ranks;
  };

  explicit BpeModel(BpeTables tables) : tables_(std::move(tables)) {}

  // Appends the ids of `piece`. Byte level: any bytes; otherwise well-formed UTF-8.
  void encode(std::string_view piece, Scratch& scratch, std::vector<TokenId>& out) const;

  // Appends the id of one byte that is no text: its token, else unk, else nothing.
  void encode_stray_byte(unsigned char byte, std::vector<TokenId>& out) const;

 private:
  void split_symbols(std::string_view piece, std::vector<int32_t>& ids) const;
  void merge_short(Scratch& scratch) const;
  void merge_long(Scratch& scratch) const;
  void push_candidate(Scratch& scratch, int32_t at) const;
  void emit(const std::vector<int32_t>& ids, std::vector<TokenId>& out) const;
  void append_unknown(size_t begin, std::vector<TokenId>& out) const;

  BpeTables tables_;
};

}  // namespace tq::models::text
