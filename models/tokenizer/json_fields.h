#pragma once
// Reading typed fields of a JSON document without exceptions: a wrong type is an Error that names
// its path. Start-up only.

#include <nlohmann/json.hpp>

#include <string>
#include <string_view>

#include "config/result.h"

namespace tq::models::text {

using Json = nlohmann::json;

// A place in a document: the value and how it is reached ("model.vocab").
struct Field {
  const Json* value = nullptr;
  std::string path;

  bool is_null() const { return value->is_null(); }
};

Result<Json> parse_json(std::string_view text, std::string_view name);

// The member `key`; one that is absent reads as null. `parent` must be an object (or null).
Result<Field> member(const Field& parent, const std::string& key);

// The elements of an array; null has none.
Result<std::vector<Field>> elements(const Field& field);

Result<std::string> as_string(const Field& field);
Result<int64_t> as_integer(const Field& field);

// A bool, or `otherwise` where it is null.
Result<bool> bool_or(const Field& field, bool otherwise);

// The member "type".
Result<std::string> type_of(const Field& field);

Error field_error(Code code, const Field& field, std::string message);

}  // namespace tq::models::text
