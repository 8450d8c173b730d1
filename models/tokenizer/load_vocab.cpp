#include <algorithm>
#include <cmath>

#include "config/limits.h"
#include "models/tokenizer/bpe_build.h"
#include "models/tokenizer/byte_alphabet.h"
#include "models/tokenizer/load.h"
#include "models/tokenizer/pre_patterns.h"
#include "models/tokenizer/stop_tokens.h"
#include "models/tokenizer/utf8.h"

namespace tq::models {
namespace {

using text::BpeParts;

TokenKind kind_of(const GgufVocab& vocab, size_t id) {
  return vocab.token_types.empty() ? TokenKind::kNormal : vocab.token_types[id];
}

bool is_added(TokenKind kind) {
  return kind == TokenKind::kControl || kind == TokenKind::kUserDefined;
}

Error corrupt(std::string message, const char* key) {
  return Error{Code::kCorrupt, std::move(message), key};
}

Result<void> check_id(TokenId id, size_t n_tokens, const char* key) {
  if (id >= -1 && id < static_cast<int64_t>(n_tokens)) return {};
  return corrupt("token id " + std::to_string(id) + " is outside the vocabulary of " +
                     std::to_string(n_tokens),
                 key);
}

Result<void> check_vocab(const GgufVocab& vocab) {
  const size_t n = vocab.tokens.size();
  if (n == 0) return corrupt("the file holds no vocabulary", "tokenizer.ggml.tokens");
  if (n > static_cast<size_t>(limits::kVocabMax)) {
    return corrupt(std::to_string(n) + " tokens, the limit is " + std::to_string(limits::kVocabMax),
                   "tokenizer.ggml.tokens");
  }
  if (!vocab.token_types.empty() && vocab.token_types.size() != n) {
    return corrupt(
        std::to_string(vocab.token_types.size()) + " types for " + std::to_string(n) + " tokens",
        "tokenizer.ggml.token_type");
  }
  TQ_TRY(check_id(vocab.bos, n, "tokenizer.ggml.bos_token_id"));
  TQ_TRY(check_id(vocab.eos, n, "tokenizer.ggml.eos_token_id"));
  TQ_TRY(check_id(vocab.pad, n, "tokenizer.ggml.padding_token_id"));
  TQ_TRY(check_id(vocab.unk, n, "tokenizer.ggml.unknown_token_id"));
  for (const TokenId id : vocab.stop) TQ_TRY(check_id(id, n, "tokenizer.ggml.eot_token_id"));
  return {};
}

Result<void> check_scores(const GgufVocab& vocab) {
  if (vocab.scores.size() != vocab.tokens.size()) {
    return corrupt(std::to_string(vocab.scores.size()) + " scores for " +
                       std::to_string(vocab.tokens.size()) + " tokens",
                   "tokenizer.ggml.scores");
  }
  for (const float score : vocab.scores) {
    if (std::isnan(score)) return corrupt("a score is not a number", "tokenizer.ggml.scores");
  }
  return {};
}

// Of a text that two ids share the first counts.
text::IdMap ids_by_text(const GgufVocab& vocab) {
  text::IdMap ids;
  ids.reserve(vocab.tokens.size());
  for (size_t i = 0; i < vocab.tokens.size(); ++i) {
    ids.emplace(vocab.tokens[i], static_cast<TokenId>(i));
  }
  return ids;
}

void add_special(const GgufVocab& vocab,
                 const text::IdMap& ids,
                 bool default_bos,
                 BpeParts& parts) {
  SpecialTokens& special = parts.special;
  special = {vocab.bos, vocab.eos, vocab.pad, vocab.unk, {}};
  const auto find = [&](std::string_view name) -> TokenId {
    const auto it = ids.find(name);
    if (it == ids.end() || !is_added(kind_of(vocab, static_cast<size_t>(it->second)))) return -1;
    return it->second;
  };
  if (special.eos < 0) special.eos = text::guess_eos(find);
  for (const TokenId id : vocab.stop) {
    if (id >= 0) special.stop.push_back(id);
  }
  text::add_stop_tokens(find, special);
  if (vocab.add_bos.value_or(default_bos) && special.bos >= 0) parts.prefix.push_back(special.bos);
  if (vocab.add_eos.value_or(false) && special.eos >= 0) parts.suffix.push_back(special.eos);
}

// What `id` adds to a text. `plain`: the reading of a token that is neither added nor a byte.
template <class Plain>
void add_pieces(const GgufVocab& vocab, const Plain& plain, BpeParts& parts) {
  for (size_t i = 0; i < vocab.tokens.size(); ++i) {
    const std::string& token = vocab.tokens[i];
    const TokenKind kind = kind_of(vocab, i);
    const bool control = kind == TokenKind::kControl || kind == TokenKind::kUnknown;
    const int byte = kind == TokenKind::kByte ? text::byte_of_fallback_token(token) : -1;
    if (is_added(kind)) {
      parts.raw_added.add({.content = token,
                           .id = static_cast<TokenId>(i),
                           .control = kind == TokenKind::kControl});
    }
    if (control) {
      parts.pieces.push_back(token, true);
    } else if (byte >= 0) {
      parts.pieces.push_back(std::string(1, static_cast<char>(byte)), false);
    } else {
      parts.pieces.push_back(plain(token, kind), false);
    }
  }
}

Result<std::unique_ptr<Tokenizer>> byte_level_of(const GgufVocab& vocab) {
  TQ_ASSIGN(const text::NamedPreTokenizer pre, text::named_pre_tokenizer(vocab.pre));
  BpeParts parts;
  const text::IdMap ids = ids_by_text(vocab);
  std::vector<std::pair<std::string_view, std::string_view>> merges;
  merges.reserve(vocab.merges.size());
  for (const std::string& merge : vocab.merges) {
    TQ_ASSIGN(merges.emplace_back(), text::halves_of_merge(merge, "tokenizer.ggml.merges"));
  }
  TQ_ASSIGN(const auto rules, text::rules_of_merges(merges, ids, "tokenizer.ggml.merges"));
  parts.tables.merges = text::MergeTable(rules);
  parts.tables.n_vocab = static_cast<int32_t>(vocab.tokens.size());
  text::add_byte_alphabet(ids, parts.tables);
  if (pre.ignore_merges) {
    for (const auto& [token, id] : ids) {
      if (kind_of(vocab, static_cast<size_t>(id)) != TokenKind::kNormal) continue;
      if (auto bytes = text::bytes_of_stand_ins(token)) parts.tables.whole.emplace(*bytes, id);
    }
  }
  if (pre.nfc) parts.normalizer.add(text::UnicodeForm{.compose = true});
  for (const std::string_view regex : pre.patterns) {
    TQ_ASSIGN(text::Pattern pattern, text::Pattern::compile(regex, "tokenizer.ggml.pre"));
    parts.pre_tokenizer.add(text::SplitStep{.pattern = std::move(pattern)});
  }
  add_pieces(
      vocab,
      [](const std::string& token, TokenKind kind) {
        if (kind == TokenKind::kUserDefined) return token;
        return text::bytes_of_stand_ins(token).value_or(token);
      },
      parts);
  add_special(vocab, ids, pre.add_bos, parts);
  return std::unique_ptr<Tokenizer>(std::make_unique<text::BpeTokenizer>(std::move(parts)));
}

Result<std::unique_ptr<Tokenizer>> scored_of(const GgufVocab& vocab) {
  TQ_TRY(check_scores(vocab));
  BpeParts parts;
  const text::IdMap ids = ids_by_text(vocab);
  const bool space_prefix = vocab.add_space_prefix.value_or(true);
  parts.tables.n_vocab = static_cast<int32_t>(vocab.tokens.size());
  parts.tables.unk = vocab.unk;
  parts.tables.fuse_unk = true;
  std::vector<text::ScoredToken> tokens;
  for (size_t i = 0; i < vocab.tokens.size(); ++i) {
    const std::string_view token = vocab.tokens[i];
    if (kind_of(vocab, i) != TokenKind::kNormal) continue;
    if (text::valid_prefix_bytes(token) != token.size()) {
      return corrupt("token " + std::to_string(i) + " is not UTF-8", "tokenizer.ggml.tokens");
    }
    tokens.push_back({token, static_cast<TokenId>(i), vocab.scores[i]});
  }
  text::add_scored_merges(tokens, parts.tables);
  text::add_byte_fallback(ids, parts.tables);
  TQ_ASSIGN(parts.normalizer, text::metaspace_normalizer(space_prefix));
  parts.strips_leading_space = space_prefix;
  add_pieces(
      vocab, [](const std::string& token, TokenKind) { return text::metaspace_to_space(token); },
      parts);
  add_special(vocab, ids, true, parts);
  return std::unique_ptr<Tokenizer>(std::make_unique<text::BpeTokenizer>(std::move(parts)));
}

}  // namespace

Result<std::unique_ptr<Tokenizer>> from_vocab(const GgufVocab& vocab) {
  TQ_TRY(check_vocab(vocab));
  if (vocab.model == "gpt2") return byte_level_of(vocab);
  if (vocab.model == "llama") return scored_of(vocab);
  return Error{Code::kUnsupported,
               "tokenizer model \"" + vocab.model.substr(0, 64) + "\"; known are gpt2 and llama",
               "tokenizer.ggml.model"};
}

}  // namespace tq::models
