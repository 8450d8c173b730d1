#include "models/tokenizer/json_steps.h"

#include "models/tokenizer/bpe_build.h"

namespace tq::models::text {
namespace {

// What Hugging Face's Punctuation step cuts at: ASCII punctuation and category P as Unicode 8 has
// it, the version of its tables. Excluded is what later versions (to 14) added, included what they
// moved away.
constexpr const char* kPunctuation =
    R"((?![\x{61D}\x{9FD}\x{A76}\x{C77}\x{C84}\x{1B7D}\x{1B7E}\x{2E43}-\x{2E5D}\x{10EAD})"
    R"(\x{10F55}-\x{10F89}\x{1144B}-\x{1145D}\x{11660}-\x{1166C}\x{116B9}\x{1183B})"
    R"(\x{11944}-\x{11946}\x{119E2}\x{11A3F}-\x{11AA2}\x{11C41}-\x{11C71})"
    R"(\x{11EF7}-\x{11FFF}\x{12FF1}-\x{12FF2}\x{16E97}-\x{16E9A}\x{16FE2}\x{1E95E}\x{1E95F}]))"
    R"([!-/:-@\[-`{-~\p{P}]|[\x{166D}\x{111C9}])";

// Nested Sequences beyond this are no tokenizer.
constexpr int kNestingMax = 8;

// Calls `read_one` for `field`, or for each part of a (nested) Sequence whose parts are member
// `parts`.
template <class ReadOne>
Result<void> read_sequence(const Field& field,
                           const char* parts,
                           const ReadOne& read_one,
                           int depth = 0) {
  if (field.is_null()) return {};
  TQ_ASSIGN(const std::string type, type_of(field));
  if (type != "Sequence") return read_one(field, type);
  if (depth == kNestingMax) return field_error(Code::kUnsupported, field, "is nested too deeply");
  TQ_ASSIGN(const Field list, member(field, parts));
  TQ_ASSIGN(const std::vector<Field> steps, elements(list));
  for (const Field& step : steps) TQ_TRY(read_sequence(step, parts, read_one, depth + 1));
  return {};
}

Error unknown_type(const Field& field, const char* what, const std::string& type) {
  return field_error(
      Code::kUnsupported, field,
      std::string(what) + " of type \"" + type.substr(0, 64) + "\" is not supported");
}

// {"String": "x"} or {"Regex": "x"}.
Result<Pattern> read_pattern(const Field& parent) {
  TQ_ASSIGN(const Field field, member(parent, "pattern"));
  TQ_ASSIGN(const Field literal, member(field, "String"));
  if (!literal.is_null()) {
    TQ_ASSIGN(const std::string text, as_string(literal));
    return Pattern::compile(escape_literal(text), literal.path);
  }
  TQ_ASSIGN(const Field regex, member(field, "Regex"));
  if (regex.is_null()) {
    return field_error(Code::kUnsupported, field, "must be a String or a Regex");
  }
  TQ_ASSIGN(const std::string text, as_string(regex));
  return Pattern::compile(text, regex.path);
}

Result<std::string> string_member(const Field& parent, const char* key) {
  TQ_ASSIGN(const Field field, member(parent, key));
  return as_string(field);
}

Result<bool> bool_member(const Field& parent, const char* key, bool otherwise) {
  TQ_ASSIGN(const Field field, member(parent, key));
  return bool_or(field, otherwise);
}

Result<void> add_normalizer(const Field& field, const std::string& type, Normalizer& out) {
  if (type == "NFC" || type == "NFD" || type == "NFKC" || type == "NFKD") {
    out.add(UnicodeForm{.compose = type.back() == 'C', .compatibility = type[2] == 'K'});
  } else if (type == "Lowercase") {
    out.add(Lowercase{});
  } else if (type == "Prepend") {
    TQ_ASSIGN(const std::string prefix, string_member(field, "prepend"));
    out.add(Prepend{prefix});
  } else if (type == "Replace") {
    TQ_ASSIGN(Pattern pattern, read_pattern(field));
    TQ_ASSIGN(const std::string content, string_member(field, "content"));
    out.add(Replace{std::move(pattern), content});
  } else if (type == "Strip") {
    TQ_ASSIGN(const bool left, bool_member(field, "strip_left", true));
    TQ_ASSIGN(const bool right, bool_member(field, "strip_right", true));
    out.add(StripSpace{.left = left, .right = right});
  } else {
    return unknown_type(field, "a normalizer", type);
  }
  return {};
}

Result<SplitBehavior> read_behavior(const Field& parent) {
  TQ_ASSIGN(const Field field, member(parent, "behavior"));
  TQ_ASSIGN(const std::string name, as_string(field));
  if (name == "Isolated") return SplitBehavior::kIsolated;
  if (name == "Removed") return SplitBehavior::kRemoved;
  if (name == "Contiguous") return SplitBehavior::kContiguous;
  if (name == "MergedWithPrevious") return SplitBehavior::kMergedWithPrevious;
  if (name == "MergedWithNext") return SplitBehavior::kMergedWithNext;
  return field_error(Code::kUnsupported, field,
                     "unknown split behavior \"" + name.substr(0, 64) + "\"");
}

Result<void> add_split(const Field& field,
                       const char* regex,
                       SplitBehavior behavior,
                       PreTokenizer& out) {
  TQ_ASSIGN(Pattern pattern, Pattern::compile(regex, field.path));
  out.add(SplitStep{.pattern = std::move(pattern), .behavior = behavior});
  return {};
}

Result<void> add_byte_level(const Field& field, PreTokenizerParts& out) {
  TQ_ASSIGN(const bool prefix_space, bool_member(field, "add_prefix_space", true));
  TQ_ASSIGN(const bool use_regex, bool_member(field, "use_regex", true));
  if (prefix_space) out.steps.add(PrefixSpaceStep{});
  out.byte_level = true;
  if (!use_regex) return {};
  return add_split(field,
                   R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)",
                   SplitBehavior::kIsolated, out.steps);
}

// "prepend_scheme", or the older "add_prefix_space".
Result<MetaspaceStep::Prefix> read_prepend_scheme(const Field& parent) {
  using Prefix = MetaspaceStep::Prefix;
  TQ_ASSIGN(const bool always, bool_member(parent, "add_prefix_space", true));
  TQ_ASSIGN(const Field field, member(parent, "prepend_scheme"));
  if (field.is_null()) return always ? Prefix::kAlways : Prefix::kNever;
  TQ_ASSIGN(const std::string scheme, as_string(field));
  if (scheme == "always") return Prefix::kAlways;
  if (scheme == "first") return Prefix::kFirst;
  if (scheme == "never") return Prefix::kNever;
  return field_error(Code::kUnsupported, field, "unknown scheme \"" + scheme.substr(0, 64) + "\"");
}

Result<void> add_metaspace(const Field& field, PreTokenizer& out) {
  MetaspaceStep step;
  TQ_ASSIGN(step.replacement, string_member(field, "replacement"));
  if (step.replacement.empty()) {
    return field_error(Code::kCorrupt, field, "replacement must not be empty");
  }
  TQ_ASSIGN(step.prefix, read_prepend_scheme(field));
  TQ_ASSIGN(step.split, bool_member(field, "split", true));
  out.add(std::move(step));
  return {};
}

Result<void> add_pre_tokenizer(const Field& field,
                               const std::string& type,
                               PreTokenizerParts& out) {
  if (out.byte_level) {
    // It would see the byte alphabet's characters, which no published tokenizer needs.
    return field_error(Code::kUnsupported, field, "a pre_tokenizer after ByteLevel");
  }
  if (type == "ByteLevel") return add_byte_level(field, out);
  if (type == "Metaspace") return add_metaspace(field, out.steps);
  if (type == "Split") {
    TQ_ASSIGN(Pattern pattern, read_pattern(field));
    TQ_ASSIGN(const SplitBehavior behavior, read_behavior(field));
    TQ_ASSIGN(const bool invert, bool_member(field, "invert", false));
    out.steps.add(SplitStep{std::move(pattern), behavior, invert});
    return {};
  }
  if (type == "Digits") {
    TQ_ASSIGN(const bool individual, bool_member(field, "individual_digits", false));
    return add_split(field, R"(\p{N})",
                     individual ? SplitBehavior::kIsolated : SplitBehavior::kContiguous, out.steps);
  }
  if (type == "WhitespaceSplit")
    return add_split(field, R"(\s)", SplitBehavior::kRemoved, out.steps);
  if (type == "Punctuation") {
    TQ_ASSIGN(const Field behavior, member(field, "behavior"));
    SplitBehavior value = SplitBehavior::kIsolated;
    if (!behavior.is_null()) {
      TQ_ASSIGN(value, read_behavior(field));
    }
    return add_split(field, kPunctuation, value, out.steps);
  }
  return unknown_type(field, "a pre_tokenizer", type);
}

Result<void> add_decoder_strip(const Field& field, DecoderParts& out) {
  TQ_ASSIGN(const std::string content, string_member(field, "content"));
  TQ_ASSIGN(const Field start_field, member(field, "start"));
  TQ_ASSIGN(const Field stop_field, member(field, "stop"));
  TQ_ASSIGN(const int64_t start, as_integer(start_field));
  TQ_ASSIGN(const int64_t stop, as_integer(stop_field));
  if (content != " " || start < 0 || start > 1 || stop != 0) {
    return field_error(Code::kUnsupported, field,
                       "only one space at the start can be stripped from a decoded text");
  }
  out.strips_leading_space |= start == 1;
  return {};
}

Result<void> add_decoder(const Field& field, const std::string& type, DecoderParts& out) {
  if (type == "ByteLevel") {
    out.byte_level = true;
  } else if (type == "ByteFallback") {
    out.byte_fallback = true;
  } else if (type == "Fuse") {
    // Pieces are joined anyway.
  } else if (type == "Replace") {
    TQ_ASSIGN(const Field pattern, member(field, "pattern"));
    TQ_ASSIGN(const Field literal, member(pattern, "String"));
    if (literal.is_null()) {
      return field_error(Code::kUnsupported, pattern, "a decoder can only replace a String");
    }
    TQ_ASSIGN(const std::string from, as_string(literal));
    if (from.empty()) return field_error(Code::kCorrupt, literal, "must not be empty");
    TQ_ASSIGN(const std::string to, string_member(field, "content"));
    out.replacements.emplace_back(from, to);
  } else if (type == "Strip") {
    return add_decoder_strip(field, out);
  } else if (type == "Metaspace") {
    TQ_ASSIGN(const std::string from, string_member(field, "replacement"));
    if (from.empty()) return field_error(Code::kCorrupt, field, "replacement must not be empty");
    TQ_ASSIGN(const MetaspaceStep::Prefix prefix, read_prepend_scheme(field));
    out.replacements.emplace_back(from, " ");
    out.strips_leading_space |= prefix != MetaspaceStep::Prefix::kNever;
  } else {
    return unknown_type(field, "a decoder", type);
  }
  return {};
}

Result<TokenId> token_id_of(const Field& field) {
  TQ_ASSIGN(const int64_t id, as_integer(field));
  if (id < 0 || id > INT32_MAX) return field_error(Code::kCorrupt, field, "is no token id");
  return static_cast<TokenId>(id);
}

// {"single": [{"SpecialToken": {"id": "<s>"}}, {"Sequence": {"id": "A"}}], "special_tokens": {...}}
Result<void> add_template(const Field& field, PostProcessorParts& out) {
  TQ_ASSIGN(const Field single, member(field, "single"));
  TQ_ASSIGN(const Field known, member(field, "special_tokens"));
  TQ_ASSIGN(const std::vector<Field> parts, elements(single));
  bool after_text = false;
  for (const Field& part : parts) {
    TQ_ASSIGN(const Field special, member(part, "SpecialToken"));
    if (special.is_null()) {
      if (after_text) return field_error(Code::kUnsupported, part, "a second text in a template");
      after_text = true;
      continue;
    }
    TQ_ASSIGN(const std::string name, string_member(special, "id"));
    TQ_ASSIGN(const Field token, member(known, name));
    TQ_ASSIGN(const Field id_list, member(token, "ids"));
    TQ_ASSIGN(const std::vector<Field> ids, elements(id_list));
    if (ids.empty())
      return field_error(Code::kCorrupt, token, "a template names it, but it has no ids");
    for (const Field& id_field : ids) {
      TQ_ASSIGN(const TokenId id, token_id_of(id_field));
      (after_text ? out.suffix : out.prefix).push_back(id);
    }
  }
  return {};
}

// "cls": ["<s>", 0]
Result<TokenId> read_pair_id(const Field& parent, const char* key) {
  TQ_ASSIGN(const Field field, member(parent, key));
  TQ_ASSIGN(const std::vector<Field> pair, elements(field));
  if (pair.size() != 2) return field_error(Code::kCorrupt, field, "must be a token and its id");
  return token_id_of(pair[1]);
}

Result<void> add_post_processor(const Field& field,
                                const std::string& type,
                                PostProcessorParts& out) {
  if (type == "ByteLevel") return {};  // moves offsets only
  if (type == "TemplateProcessing") return add_template(field, out);
  if (type == "BertProcessing" || type == "RobertaProcessing") {
    TQ_ASSIGN(const TokenId first, read_pair_id(field, "cls"));
    TQ_ASSIGN(const TokenId last, read_pair_id(field, "sep"));
    out.prefix.push_back(first);
    out.suffix.push_back(last);
    return {};
  }
  return unknown_type(field, "a post_processor", type);
}

}  // namespace

Result<Normalizer> read_normalizer(const Field& field) {
  Normalizer out;
  TQ_TRY(read_sequence(field, "normalizers", [&](const Field& step, const std::string& type) {
    return add_normalizer(step, type, out);
  }));
  return out;
}

Result<PreTokenizerParts> read_pre_tokenizer(const Field& field) {
  PreTokenizerParts out;
  TQ_TRY(read_sequence(field, "pretokenizers", [&](const Field& step, const std::string& type) {
    return add_pre_tokenizer(step, type, out);
  }));
  return out;
}

Result<DecoderParts> read_decoder(const Field& field) {
  DecoderParts out;
  TQ_TRY(read_sequence(field, "decoders", [&](const Field& step, const std::string& type) {
    return add_decoder(step, type, out);
  }));
  return out;
}

Result<PostProcessorParts> read_post_processor(const Field& field) {
  PostProcessorParts out;
  TQ_TRY(read_sequence(field, "processors", [&](const Field& step, const std::string& type) {
    return add_post_processor(step, type, out);
  }));
  return out;
}

}  // namespace tq::models::text
