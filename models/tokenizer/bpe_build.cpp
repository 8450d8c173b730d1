#include "models/tokenizer/bpe_build.h"

#include <algorithm>
#include <cstdio>

#include "models/tokenizer/byte_alphabet.h"
#include "models/tokenizer/utf8.h"

namespace tq::models::text {
namespace {

// Longer tokens exist (runs of 1024 spaces), but each cut of one costs a rule.
constexpr size_t kScoredTokenCharsMax = 256;

bool has_one_character(std::string_view token, CodePoint& point) {
  if (token.empty()) return false;
  point = decode_utf8(token, 0);
  return point.valid && static_cast<size_t>(point.n_bytes) == token.size();
}

Error not_a_token(std::string_view text, size_t merge_idx, std::string_view where) {
  return Error{Code::kCorrupt,
               "merge " + std::to_string(merge_idx) + ": \"" + std::string(text.substr(0, 64)) +
                   "\" is not in the vocabulary",
               std::string(where)};
}

// Ids for the characters that only occur inside tokens, so that they can be merged.
int32_t char_id(char32_t value, BpeTables& tables) {
  const auto next = tables.n_vocab + static_cast<int32_t>(tables.inner_chars.size());
  const auto [it, added] = tables.char_ids.try_emplace(value, next);
  if (added) tables.inner_chars.push_back(value);
  return it->second;
}

}  // namespace

Result<std::pair<std::string_view, std::string_view>> halves_of_merge(std::string_view merge,
                                                                      std::string_view where) {
  const size_t space = merge.find(' ', 1);
  if (space == merge.npos || space + 1 == merge.size()) {
    return Error{Code::kCorrupt,
                 "merge \"" + std::string(merge.substr(0, 64)) + "\" is not two pieces and a space",
                 std::string(where)};
  }
  return std::pair{merge.substr(0, space), merge.substr(space + 1)};
}

Result<std::vector<MergeRule>> rules_of_merges(
    std::span<const std::pair<std::string_view, std::string_view>> merges,
    const IdMap& ids,
    std::string_view where) {
  std::vector<MergeRule> rules;
  rules.reserve(merges.size());
  std::string joined;
  for (size_t i = 0; i < merges.size(); ++i) {
    const auto& [left, right] = merges[i];
    joined.assign(left).append(right);
    std::array<TokenId, 3> found{};
    const std::array<std::string_view, 3> texts = {left, right, joined};
    for (size_t part = 0; part < texts.size(); ++part) {
      const auto it = ids.find(texts[part]);
      if (it == ids.end()) return not_a_token(texts[part], i, where);
      found[part] = it->second;
    }
    rules.push_back({found[0], found[1], static_cast<int32_t>(i), found[2]});
  }
  return rules;
}

void add_byte_alphabet(const IdMap& ids, BpeTables& tables) {
  tables.byte_level = true;
  for (const auto& [token, id] : ids) {
    CodePoint point;
    if (!has_one_character(token, point)) continue;
    if (const auto bytes = bytes_of_stand_ins(token)) {
      tables.byte_ids[static_cast<unsigned char>(bytes->front())] = id;
    }
  }
}

bool add_byte_fallback(const IdMap& ids, BpeTables& tables) {
  bool all = true;
  for (int byte = 0; byte < 256; ++byte) {
    char name[8];
    std::snprintf(name, sizeof name, "<0x%02X>", static_cast<unsigned>(byte));
    const auto it = ids.find(std::string_view(name));
    if (it == ids.end()) {
      all = false;
    } else {
      tables.byte_ids[static_cast<size_t>(byte)] = it->second;
    }
  }
  return all;
}

void add_characters(const IdMap& ids, BpeTables& tables) {
  tables.byte_level = false;
  for (const auto& [token, id] : ids) {
    CodePoint point;
    if (has_one_character(token, point)) tables.char_ids[point.value] = id;
  }
}

void add_scored_merges(const std::vector<ScoredToken>& tokens, BpeTables& tables) {
  tables.byte_level = false;
  std::unordered_map<std::string_view, TokenId> ids;
  std::vector<float> scores;
  for (const ScoredToken& token : tokens) {
    ids.emplace(token.text, token.id);
    scores.push_back(token.score);
    CodePoint point;
    if (has_one_character(token.text, point)) tables.char_ids.emplace(point.value, token.id);
  }
  std::sort(scores.begin(), scores.end(), std::greater<>());
  scores.erase(std::unique(scores.begin(), scores.end()), scores.end());

  std::vector<MergeRule> rules;
  // The id of a part: a token, or a character that is none. -1: nothing that merging can build.
  const auto part_id = [&](std::string_view part) -> int32_t {
    if (const auto it = ids.find(part); it != ids.end()) return it->second;
    CodePoint point;
    return has_one_character(part, point) ? char_id(point.value, tables) : -1;
  };
  for (const ScoredToken& token : tokens) {
    if (token.text.size() > 4 * kScoredTokenCharsMax) continue;
    const auto rank = static_cast<int32_t>(
        std::lower_bound(scores.begin(), scores.end(), token.score, std::greater<>()) -
        scores.begin());
    for (size_t cut = 1; cut < token.text.size(); ++cut) {
      if ((static_cast<unsigned char>(token.text[cut]) & 0xC0) == 0x80) continue;
      const int32_t left = part_id(token.text.substr(0, cut));
      const int32_t right = part_id(token.text.substr(cut));
      if (left >= 0 && right >= 0) rules.push_back({left, right, rank, token.id});
    }
  }
  tables.merges = MergeTable(rules);
}

Result<Normalizer> metaspace_normalizer(bool prefix) {
  Normalizer normalizer;
  if (prefix) normalizer.add(Prepend{std::string(kMetaspace)});
  TQ_ASSIGN(Pattern space, Pattern::compile(" ", "normalizer"));
  normalizer.add(Replace{std::move(space), std::string(kMetaspace)});
  return normalizer;
}

std::string metaspace_to_space(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const size_t next = text.find(kMetaspace, at);
    out += text.substr(at, next - at);
    if (next == text.npos) break;
    out += ' ';
    at = next + kMetaspace.size();
  }
  return out;
}

}  // namespace tq::models::text
