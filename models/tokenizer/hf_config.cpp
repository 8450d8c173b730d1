#include "models/tokenizer/hf_config.h"

#include <algorithm>
#include <array>

#include "models/tokenizer/json_fields.h"

namespace tq::models::text {
namespace {

// The classes whose add_bos_token and add_eos_token override the post_processor of tokenizer.json;
// the others ignore the keys.
constexpr std::array<std::string_view, 3> kHeedingClasses = {"Llama", "Gemma", "Cohere"};

// "<s>", or {"content": "<s>", ...}, or null.
Result<std::string> read_token(const Field& root, const char* key) {
  TQ_ASSIGN(const Field field, member(root, key));
  if (field.is_null()) return std::string();
  if (field.value->is_string()) return as_string(field);
  TQ_ASSIGN(const Field content, member(field, "content"));
  return as_string(content);
}

Result<std::optional<bool>> read_flag(const Field& root, const char* key) {
  TQ_ASSIGN(const Field field, member(root, key));
  if (field.is_null()) return std::optional<bool>();
  TQ_ASSIGN(const bool value, bool_or(field, false));
  return std::optional<bool>(value);
}

Result<void> read_tokenizer_config(const Json& document, HfConfig& out) {
  const Field root{&document, "tokenizer_config.json"};
  TQ_ASSIGN(out.bos_token, read_token(root, "bos_token"));
  TQ_ASSIGN(out.eos_token, read_token(root, "eos_token"));
  TQ_ASSIGN(out.pad_token, read_token(root, "pad_token"));
  TQ_ASSIGN(out.unk_token, read_token(root, "unk_token"));
  TQ_ASSIGN(const Field class_field, member(root, "tokenizer_class"));
  if (class_field.is_null()) return {};
  TQ_ASSIGN(const std::string class_name, as_string(class_field));
  const bool heeds = std::any_of(kHeedingClasses.begin(), kHeedingClasses.end(),
                                 [&](auto prefix) { return class_name.starts_with(prefix); });
  if (!heeds) return {};
  TQ_ASSIGN(out.add_bos, read_flag(root, "add_bos_token"));
  TQ_ASSIGN(out.add_eos, read_flag(root, "add_eos_token"));
  return {};
}

// "eos_token_id": 2, or [2, 7]
Result<void> read_generation_config(const Json& document, HfConfig& out) {
  const Field root{&document, "generation_config.json"};
  TQ_ASSIGN(const Field field, member(root, "eos_token_id"));
  if (field.is_null()) return {};
  std::vector<Field> ids = {field};
  if (field.value->is_array()) {
    TQ_ASSIGN(ids, elements(field));
  }
  for (const Field& id_field : ids) {
    TQ_ASSIGN(const int64_t id, as_integer(id_field));
    if (id < 0 || id > INT32_MAX) return field_error(Code::kCorrupt, id_field, "is no token id");
    out.eos_ids.push_back(static_cast<TokenId>(id));
  }
  return {};
}

}  // namespace

Result<HfConfig> read_hf_config(std::string_view tokenizer_config_json,
                                std::string_view generation_config_json) {
  HfConfig out;
  if (!tokenizer_config_json.empty()) {
    TQ_ASSIGN(const Json document, parse_json(tokenizer_config_json, "tokenizer_config.json"));
    TQ_TRY(read_tokenizer_config(document, out));
  }
  if (!generation_config_json.empty()) {
    TQ_ASSIGN(const Json document, parse_json(generation_config_json, "generation_config.json"));
    TQ_TRY(read_generation_config(document, out));
  }
  return out;
}

}  // namespace tq::models::text
