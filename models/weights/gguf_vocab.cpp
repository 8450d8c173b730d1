#include "models/weights/gguf_vocab.h"

#include <limits>
#include <utility>

#include "config/limits.h"
#include "models/weights/mapped_file.h"

namespace tq::models {
namespace {

Error corrupt(const GgufFile& file, std::string_view key, const std::string& message) {
  return Error{Code::kCorrupt, "metadata key " + shown(key) + " " + message, file.path()};
}

// A token id of the vocabulary; -1 where the key is missing or says "none" (-1, in 32 bits too).
Result<TokenId> read_id(const GgufFile& file, std::string_view key, size_t n_tokens) {
  TQ_ASSIGN(const int64_t id, file.get_int_or(key, -1));
  if (id == -1 || id == std::numeric_limits<uint32_t>::max()) return TokenId{-1};
  if (id < 0 || id >= static_cast<int64_t>(n_tokens)) {
    return corrupt(file, key,
                   "is " + std::to_string(id) + ", the vocabulary has " + std::to_string(n_tokens));
  }
  return static_cast<TokenId>(id);
}

Result<std::optional<bool>> read_flag(const GgufFile& file, std::string_view key) {
  if (!file.has(key)) return std::optional<bool>();
  TQ_ASSIGN(const bool flag, file.get_bool(key));
  return std::optional<bool>(flag);
}

Result<std::vector<std::string>> read_strings(const GgufFile& file, std::string_view key) {
  TQ_ASSIGN(const std::vector<std::string_view> views, file.get_strings(key));
  return std::vector<std::string>(views.begin(), views.end());
}

Result<void> read_per_token(const GgufFile& file, GgufVocab& vocab) {
  constexpr std::string_view kTypes = "tokenizer.ggml.token_type";
  constexpr std::string_view kScores = "tokenizer.ggml.scores";
  const std::string expected = " entries for " + std::to_string(vocab.tokens.size()) + " tokens";
  if (file.has(kTypes)) {
    TQ_ASSIGN(const std::vector<int32_t> types, file.get_ints(kTypes));
    if (types.size() != vocab.tokens.size()) {
      return corrupt(file, kTypes, "has " + std::to_string(types.size()) + expected);
    }
    vocab.token_types.reserve(types.size());
    for (const int32_t type : types) {
      if (type < 0 || type > static_cast<int32_t>(TokenKind::kByte)) {
        return corrupt(file, kTypes, "holds the unknown token type " + std::to_string(type));
      }
      vocab.token_types.push_back(static_cast<TokenKind>(type));
    }
  }
  if (file.has(kScores)) {
    TQ_ASSIGN(vocab.scores, file.get_floats(kScores));
    if (vocab.scores.size() != vocab.tokens.size()) {
      return corrupt(file, kScores, "has " + std::to_string(vocab.scores.size()) + expected);
    }
  }
  return {};
}

}  // namespace

Result<GgufVocab> gguf_vocab(const GgufFile& file) {
  constexpr std::string_view kTokens = "tokenizer.ggml.tokens";
  GgufVocab vocab;
  TQ_ASSIGN(vocab.model, file.get_string("tokenizer.ggml.model"));
  if (file.has("tokenizer.ggml.pre")) {
    TQ_ASSIGN(vocab.pre, file.get_string("tokenizer.ggml.pre"));
  }
  TQ_ASSIGN(vocab.tokens, read_strings(file, kTokens));
  const size_t n_tokens = vocab.tokens.size();
  if (n_tokens < 1 || n_tokens > static_cast<size_t>(limits::kVocabMax)) {
    return corrupt(file, kTokens,
                   "has " + std::to_string(n_tokens) + " tokens, allowed are 1 to " +
                       std::to_string(limits::kVocabMax));
  }
  TQ_TRY(read_per_token(file, vocab));
  if (file.has("tokenizer.ggml.merges")) {
    TQ_ASSIGN(vocab.merges, read_strings(file, "tokenizer.ggml.merges"));
  }
  TQ_ASSIGN(vocab.bos, read_id(file, "tokenizer.ggml.bos_token_id", n_tokens));
  TQ_ASSIGN(vocab.eos, read_id(file, "tokenizer.ggml.eos_token_id", n_tokens));
  TQ_ASSIGN(vocab.pad, read_id(file, "tokenizer.ggml.padding_token_id", n_tokens));
  TQ_ASSIGN(vocab.unk, read_id(file, "tokenizer.ggml.unknown_token_id", n_tokens));
  for (const char* key : {"tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"}) {
    TQ_ASSIGN(const TokenId id, read_id(file, key, n_tokens));
    if (id >= 0) vocab.stop.push_back(id);
  }
  TQ_ASSIGN(vocab.add_bos, read_flag(file, "tokenizer.ggml.add_bos_token"));
  TQ_ASSIGN(vocab.add_eos, read_flag(file, "tokenizer.ggml.add_eos_token"));
  TQ_ASSIGN(vocab.add_space_prefix, read_flag(file, "tokenizer.ggml.add_space_prefix"));
  return vocab;
}

Result<GgufVocab> read_gguf_vocab(const std::string& path) {
  TQ_ASSIGN(const MappedFile mapping, MappedFile::open(path));
  TQ_ASSIGN(const GgufFile file, GgufFile::parse(mapping.bytes(), path));
  return gguf_vocab(file);
}

}  // namespace tq::models
