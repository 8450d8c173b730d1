#pragma once
// Steps shared by the loaders: merge rules from strings or scores, added tokens, pieces. Start-up
// only.

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/result.h"
#include "models/tokenizer/bpe_model.h"
#include "models/tokenizer/bpe_tokenizer.h"

namespace tq::models::text {

// U+2581, sentencepiece's visible space.
inline constexpr std::string_view kMetaspace = "\xE2\x96\x81";

// "left right" -> its two halves; the left one is not empty, and may begin with a space.
Result<std::pair<std::string_view, std::string_view>> halves_of_merge(std::string_view merge,
                                                                      std::string_view where);

// One rule per merge, rank = its index. A half or a result that is no token is kCorrupt.
Result<std::vector<MergeRule>> rules_of_merges(
    std::span<const std::pair<std::string_view, std::string_view>> merges,
    const IdMap& ids,
    std::string_view where);

// Fills byte_ids for a vocabulary in GPT-2's byte alphabet.
void add_byte_alphabet(const IdMap& ids, BpeTables& tables);

// Fills byte_ids from the "<0x0A>" tokens; true where all 256 are there.
bool add_byte_fallback(const IdMap& ids, BpeTables& tables);

// Fills char_ids with the tokens of one character.
void add_characters(const IdMap& ids, BpeTables& tables);

// A token that merging may build, with sentencepiece's score.
struct ScoredToken {
  std::string_view text;  // well-formed UTF-8
  TokenId id = -1;
  float score = 0;
};

// Sentencepiece's BPE joins any neighbours whose text together is a token, the best score first. As
// pair rules: every way to cut a token in two, ranked by the score. Fills char_ids, inner_chars and
// merges; tables.n_vocab must be set.
void add_scored_merges(const std::vector<ScoredToken>& tokens, BpeTables& tables);

// A whole-text replacement of spaces by kMetaspace, with one in front if `prefix`.
Result<Normalizer> metaspace_normalizer(bool prefix);

// `text` with each kMetaspace as a space.
std::string metaspace_to_space(std::string_view text);

}  // namespace tq::models::text
