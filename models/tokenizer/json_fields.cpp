#include "models/tokenizer/json_fields.h"

namespace tq::models::text {
namespace {

// Stands for every member that a document lacks.
const Json kNull;

}  // namespace

Error field_error(Code code, const Field& field, std::string message) {
  return Error{code, std::move(message), field.path};
}

Result<Json> parse_json(std::string_view text, std::string_view name) {
  Json document = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (document.is_discarded()) return Error{Code::kCorrupt, "is not JSON", std::string(name)};
  return document;
}

Result<Field> member(const Field& parent, const std::string& key) {
  Field field{&kNull, parent.path.empty() ? key : parent.path + "." + key};
  if (parent.is_null()) return field;
  if (!parent.value->is_object()) return field_error(Code::kCorrupt, parent, "must be an object");
  if (const auto it = parent.value->find(key); it != parent.value->end()) field.value = &*it;
  return field;
}

Result<std::vector<Field>> elements(const Field& field) {
  std::vector<Field> out;
  if (field.is_null()) return out;
  if (!field.value->is_array()) return field_error(Code::kCorrupt, field, "must be an array");
  out.reserve(field.value->size());
  for (size_t i = 0; i < field.value->size(); ++i) {
    out.push_back({&(*field.value)[i], field.path + "." + std::to_string(i)});
  }
  return out;
}

Result<std::string> as_string(const Field& field) {
  const auto* text = field.value->get_ptr<const Json::string_t*>();
  if (text == nullptr) return field_error(Code::kCorrupt, field, "must be a string");
  return *text;
}

Result<int64_t> as_integer(const Field& field) {
  if (!field.value->is_number_integer()) {
    return field_error(Code::kCorrupt, field, "must be an integer");
  }
  return field.value->get<int64_t>();
}

Result<bool> bool_or(const Field& field, bool otherwise) {
  if (field.is_null()) return otherwise;
  if (!field.value->is_boolean())
    return field_error(Code::kCorrupt, field, "must be true or false");
  return field.value->get<bool>();
}

Result<std::string> type_of(const Field& field) {
  TQ_ASSIGN(const Field type, member(field, "type"));
  return as_string(type);
}

}  // namespace tq::models::text
