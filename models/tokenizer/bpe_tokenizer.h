#pragma once
// BpeTokenizer: the Tokenizer over a BpeModel: added tokens out first, then normaliser,
// pre-tokeniser and merges. Built by the loaders (load.h) from parts. Immutable; any thread.

#include <vector>

#include "models/tokenizer/added_tokens.h"
#include "models/tokenizer/bpe_model.h"
#include "models/tokenizer/normalizer.h"
#include "models/tokenizer/piece_table.h"
#include "models/tokenizer/pre_tokenizer.h"
#include "models/tokenizer/tokenizer.h"

namespace tq::models::text {

struct BpeParts {
  AddedTokens raw_added;         // looked for in the text as it came
  AddedTokens normalized_added;  // looked for after the normaliser
  Normalizer normalizer;
  PreTokenizer pre_tokenizer;
  BpeTables tables;
  PieceTable pieces;
  SpecialTokens special;
  std::vector<TokenId> prefix;  // EncodeOptions::add_special
  std::vector<TokenId> suffix;
  bool strips_leading_space = false;
};

class BpeTokenizer final : public Tokenizer {
 public:
  explicit BpeTokenizer(BpeParts parts);

  int vocab_size() const noexcept override { return parts_.pieces.size(); }
  const SpecialTokens& special() const noexcept override { return parts_.special; }
  std::vector<TokenId> encode(std::string_view text, const EncodeOptions& options) const override;
  std::string_view piece(TokenId id, bool show_control) const noexcept override {
    return parts_.pieces.piece(id, show_control);
  }
  bool is_control(TokenId id) const noexcept override { return parts_.pieces.is_control(id); }
  bool strips_leading_space() const noexcept override { return parts_.strips_leading_space; }

 private:
  struct Scratch {
    PreTokenizer::Scratch pre;
    BpeModel::Scratch merge;
    std::vector<AddedTokens::Segment> segments;
  };

  // Plain text, which may hold stray bytes.
  void encode_plain(std::string_view text,
                    Place place,
                    bool parse_control,
                    Scratch& scratch,
                    std::vector<TokenId>& out) const;
  // Well-formed UTF-8.
  void encode_valid(std::string_view text,
                    Place place,
                    bool parse_control,
                    Scratch& scratch,
                    std::vector<TokenId>& out) const;
  void encode_pieces(std::string_view text,
                     Place place,
                     Scratch& scratch,
                     std::vector<TokenId>& out) const;

  BpeParts parts_;
  BpeModel model_;
};

}  // namespace tq::models::text
