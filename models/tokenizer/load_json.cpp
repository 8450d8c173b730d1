#include <algorithm>

#include "config/limits.h"
#include "models/tokenizer/bpe_build.h"
#include "models/tokenizer/byte_alphabet.h"
#include "models/tokenizer/hf_config.h"
#include "models/tokenizer/json_steps.h"
#include "models/tokenizer/load.h"
#include "models/tokenizer/stop_tokens.h"
#include "models/tokenizer/utf8.h"

namespace tq::models {
namespace {

using text::BpeParts;
using text::Field;

// tokenizer.json, read but not yet put together.
struct Draft {
  text::IdMap model_ids;  // model.vocab
  text::IdMap all_ids;    // and the added tokens
  std::vector<text::AddedToken> added;
  TokenId unk = -1;
  bool byte_fallback = false;
  bool fuse_unk = false;
  bool ignore_merges = false;
  std::vector<text::MergeRule> rules;
  text::PreTokenizerParts pre;
  text::DecoderParts decoder;
};

Result<TokenId> read_id(const Field& field) {
  TQ_ASSIGN(const int64_t id, text::as_integer(field));
  if (id < 0 || id >= limits::kVocabMax) {
    return text::field_error(
        Code::kCorrupt, field,
        "token id " + std::to_string(id) + ", the limit is " + std::to_string(limits::kVocabMax));
  }
  return static_cast<TokenId>(id);
}

Result<bool> read_bool(const Field& parent, const char* key, bool otherwise) {
  TQ_ASSIGN(const Field field, text::member(parent, key));
  return text::bool_or(field, otherwise);
}

Result<void> read_vocab(const Field& model, Draft& draft) {
  TQ_ASSIGN(const Field vocab, text::member(model, "vocab"));
  if (!vocab.value->is_object() || vocab.value->empty()) {
    return text::field_error(Code::kCorrupt, vocab, "must be an object that maps tokens to ids");
  }
  draft.model_ids.reserve(vocab.value->size());
  for (const auto& [token, value] : vocab.value->items()) {
    TQ_ASSIGN(const TokenId id, read_id({&value, vocab.path + "." + token.substr(0, 64)}));
    draft.model_ids.emplace(token, id);
  }
  draft.all_ids = draft.model_ids;
  return {};
}

// ["a b", ...] or [["a", "b"], ...]
Result<void> read_merges(const Field& model, Draft& draft) {
  TQ_ASSIGN(const Field field, text::member(model, "merges"));
  if (!field.value->is_array()) {
    return text::field_error(Code::kCorrupt, field, "must be an array");
  }
  std::vector<std::pair<std::string_view, std::string_view>> merges;
  merges.reserve(field.value->size());
  for (const text::Json& merge : *field.value) {
    if (merge.is_string()) {
      TQ_ASSIGN(merges.emplace_back(),
                text::halves_of_merge(merge.get_ref<const std::string&>(), field.path));
    } else if (merge.is_array() && merge.size() == 2 && merge[0].is_string() &&
               merge[1].is_string()) {
      merges.emplace_back(merge[0].get_ref<const std::string&>(),
                          merge[1].get_ref<const std::string&>());
    } else {
      return text::field_error(Code::kCorrupt, field,
                               "merge " + std::to_string(merges.size()) + " is no pair of strings");
    }
  }
  TQ_ASSIGN(draft.rules, text::rules_of_merges(merges, draft.model_ids, field.path));
  return {};
}

// Options of the model that change what merging does, in ways that no decoder model's tokenizer
// uses.
Result<void> refuse_affixes_and_dropout(const Field& model) {
  for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    TQ_ASSIGN(const Field field, text::member(model, key));
    if (!field.is_null() && *field.value != "") {
      return text::field_error(Code::kUnsupported, field, "only null or \"\" is supported");
    }
  }
  TQ_ASSIGN(const Field dropout, text::member(model, "dropout"));
  if (!dropout.is_null() && *dropout.value != 0) {
    return text::field_error(Code::kUnsupported, dropout, "only null or 0 is supported");
  }
  return {};
}

Result<void> read_model(const Field& root, Draft& draft) {
  TQ_ASSIGN(const Field model, text::member(root, "model"));
  TQ_ASSIGN(const Field type_field, text::member(model, "type"));
  if (!type_field.is_null()) {  // files of old versions have none
    TQ_ASSIGN(const std::string type, text::as_string(type_field));
    if (type != "BPE") {
      return text::field_error(
          Code::kUnsupported, type_field,
          "a model of type \"" + type.substr(0, 64) + "\" is not supported; BPE is");
    }
  }
  TQ_TRY(refuse_affixes_and_dropout(model));
  TQ_TRY(read_vocab(model, draft));
  TQ_TRY(read_merges(model, draft));
  TQ_ASSIGN(draft.byte_fallback, read_bool(model, "byte_fallback", false));
  TQ_ASSIGN(draft.fuse_unk, read_bool(model, "fuse_unk", false));
  TQ_ASSIGN(draft.ignore_merges, read_bool(model, "ignore_merges", false));
  TQ_ASSIGN(const Field unk, text::member(model, "unk_token"));
  if (unk.is_null()) return {};
  TQ_ASSIGN(const std::string unk_token, text::as_string(unk));
  const auto it = draft.model_ids.find(unk_token);
  if (it == draft.model_ids.end()) {
    return text::field_error(Code::kCorrupt, unk, "is not in the vocabulary");
  }
  draft.unk = it->second;
  return {};
}

Result<void> read_added(const Field& root, Draft& draft) {
  TQ_ASSIGN(const Field list, text::member(root, "added_tokens"));
  TQ_ASSIGN(const std::vector<Field> fields, text::elements(list));
  for (const Field& field : fields) {
    text::AddedToken token;
    TQ_ASSIGN(const Field content, text::member(field, "content"));
    TQ_ASSIGN(const Field id, text::member(field, "id"));
    TQ_ASSIGN(token.content, text::as_string(content));
    TQ_ASSIGN(token.id, read_id(id));
    TQ_ASSIGN(token.control, read_bool(field, "special", false));
    TQ_ASSIGN(token.lstrip, read_bool(field, "lstrip", false));
    TQ_ASSIGN(token.rstrip, read_bool(field, "rstrip", false));
    TQ_ASSIGN(token.single_word, read_bool(field, "single_word", false));
    TQ_ASSIGN(token.normalized, read_bool(field, "normalized", !token.control));
    draft.all_ids.insert_or_assign(token.content, token.id);
    draft.added.push_back(std::move(token));
  }
  return {};
}

// What a token of the model's vocabulary adds to a text.
std::string bytes_of(const std::string& token, const text::DecoderParts& decoder) {
  if (decoder.byte_level) return text::bytes_of_stand_ins(token).value_or(token);
  if (decoder.byte_fallback) {
    const int byte = text::byte_of_fallback_token(token);
    if (byte >= 0) return std::string(1, static_cast<char>(byte));
  }
  std::string out = token;
  for (const auto& [from, to] : decoder.replacements) {
    for (size_t at = out.find(from); at != out.npos; at = out.find(from, at + to.size())) {
      out.replace(at, from.size(), to);
    }
  }
  return out;
}

void add_pieces(const Draft& draft, BpeParts& parts) {
  TokenId id_max = 0;
  for (const auto& [token, id] : draft.all_ids) id_max = std::max(id_max, id);
  std::vector<std::string> bytes(static_cast<size_t>(id_max) + 1);
  std::vector<bool> control(bytes.size());
  for (const auto& [token, id] : draft.model_ids) {
    bytes[static_cast<size_t>(id)] = bytes_of(token, draft.decoder);
  }
  for (const text::AddedToken& token : draft.added) {
    const auto at = static_cast<size_t>(token.id);
    control[at] = token.control;
    // A control token stands for itself; of the others only a ByteLevel decoder would garble
    // letters.
    const bool verbatim = token.control || draft.decoder.byte_level;
    bytes[at] = verbatim ? token.content : bytes_of(token.content, draft.decoder);
  }
  for (size_t i = 0; i < bytes.size(); ++i) parts.pieces.push_back(bytes[i], control[i]);
}

void add_tables(const Draft& draft, BpeParts& parts) {
  text::BpeTables& tables = parts.tables;
  tables.merges = text::MergeTable(draft.rules);
  tables.n_vocab = parts.pieces.size();
  tables.unk = draft.unk;
  tables.fuse_unk = draft.fuse_unk;
  if (draft.pre.byte_level) {
    text::add_byte_alphabet(draft.model_ids, tables);
  } else {
    text::add_characters(draft.model_ids, tables);
    if (draft.byte_fallback) text::add_byte_fallback(draft.model_ids, tables);
  }
  if (!draft.ignore_merges) return;
  for (const auto& [token, id] : draft.model_ids) {
    if (!draft.pre.byte_level) {
      tables.whole.emplace(token, id);
    } else if (auto bytes = text::bytes_of_stand_ins(token)) {
      tables.whole.emplace(std::move(*bytes), id);
    }
  }
}

void add_added(const Draft& draft, BpeParts& parts) {
  for (text::AddedToken token : draft.added) {
    if (token.normalized) {
      token.content = parts.normalizer.apply(token.content, text::Place::kTextStart);
      parts.normalized_added.add(std::move(token));
    } else {
      parts.raw_added.add(std::move(token));
    }
  }
}

// add_bos_token and add_eos_token of tokenizer_config.json over the post_processor's template.
void apply_flags(const text::HfConfig& config, BpeParts& parts) {
  const TokenId bos = parts.special.bos;
  const TokenId eos = parts.special.eos;
  if (config.add_bos && bos >= 0) {
    std::erase(parts.prefix, bos);
    if (*config.add_bos) parts.prefix.insert(parts.prefix.begin(), bos);
  }
  if (config.add_eos && eos >= 0) {
    std::erase(parts.suffix, eos);
    if (*config.add_eos) parts.suffix.push_back(eos);
  }
}

void add_special(const Draft& draft, const text::HfConfig& config, BpeParts& parts) {
  const auto find_any = [&](const std::string& name) -> TokenId {
    const auto it = draft.all_ids.find(name);
    return name.empty() || it == draft.all_ids.end() ? -1 : it->second;
  };
  const auto find_added = [&](std::string_view name) -> TokenId {
    const auto it = std::find_if(draft.added.begin(), draft.added.end(),
                                 [&](const auto& token) { return token.content == name; });
    return it == draft.added.end() ? -1 : it->id;
  };
  SpecialTokens& special = parts.special;
  special.bos = find_any(config.bos_token);
  special.eos = find_any(config.eos_token);
  special.pad = find_any(config.pad_token);
  special.unk = draft.unk >= 0 ? draft.unk : find_any(config.unk_token);
  if (special.bos < 0 && !parts.prefix.empty()) special.bos = parts.prefix.front();
  if (special.eos < 0 && !config.eos_ids.empty()) special.eos = config.eos_ids.front();
  if (special.eos < 0) special.eos = text::guess_eos(find_added);
  special.stop = config.eos_ids;
  text::add_stop_tokens(find_added, special);
  apply_flags(config, parts);
}

Result<void> check_ids(const BpeParts& parts) {
  for (const auto* ids : {&parts.prefix, &parts.suffix, &parts.special.stop}) {
    for (const TokenId id : *ids) {
      if (id >= parts.pieces.size()) {
        return Error{Code::kCorrupt,
                     "a special token has id " + std::to_string(id) + " in a vocabulary of " +
                         std::to_string(parts.pieces.size()),
                     "tokenizer.json"};
      }
    }
  }
  return {};
}

Result<std::unique_ptr<Tokenizer>> assemble(const Field& root, const text::HfConfig& config) {
  Draft draft;
  BpeParts parts;
  TQ_TRY(read_model(root, draft));
  TQ_TRY(read_added(root, draft));
  TQ_ASSIGN(const Field normalizer, text::member(root, "normalizer"));
  TQ_ASSIGN(const Field pre_tokenizer, text::member(root, "pre_tokenizer"));
  TQ_ASSIGN(const Field decoder, text::member(root, "decoder"));
  TQ_ASSIGN(const Field post_processor, text::member(root, "post_processor"));
  TQ_ASSIGN(parts.normalizer, text::read_normalizer(normalizer));
  TQ_ASSIGN(draft.pre, text::read_pre_tokenizer(pre_tokenizer));
  TQ_ASSIGN(draft.decoder, text::read_decoder(decoder));
  if (draft.pre.byte_level != draft.decoder.byte_level) {
    return text::field_error(Code::kUnsupported, decoder,
                             "ByteLevel must be in both pre_tokenizer and decoder, or in neither");
  }
  TQ_ASSIGN(text::PostProcessorParts around, text::read_post_processor(post_processor));
  parts.prefix = std::move(around.prefix);
  parts.suffix = std::move(around.suffix);
  parts.pre_tokenizer = std::move(draft.pre.steps);
  parts.strips_leading_space = draft.decoder.strips_leading_space;
  add_pieces(draft, parts);
  add_tables(draft, parts);
  add_added(draft, parts);
  add_special(draft, config, parts);
  TQ_TRY(check_ids(parts));
  return std::unique_ptr<Tokenizer>(std::make_unique<text::BpeTokenizer>(std::move(parts)));
}

}  // namespace

Result<std::unique_ptr<Tokenizer>> from_tokenizer_json(const TokenizerFiles& files) {
  TQ_ASSIGN(const text::HfConfig config,
            text::read_hf_config(files.tokenizer_config_json, files.generation_config_json));
  TQ_ASSIGN(const text::Json document, text::parse_json(files.tokenizer_json, "tokenizer.json"));
  return assemble({&document, "tokenizer.json"}, config);
}

}  // namespace tq::models
