#pragma once
// Typed reads of a JSON object's fields without exceptions; null counts as missing, as Python's
// None does. Private to models/weights. Values; any thread.

#include <cmath>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>

#include "config/result.h"

namespace tq::models {

// Parses a whole document that must be an object; kCorrupt names the file.
inline Result<nlohmann::json> parse_json_object(std::string_view text, const std::string& path) {
  nlohmann::json document = nlohmann::json::parse(text.begin(), text.end(), nullptr, false);
  if (!document.is_object()) return Error{Code::kCorrupt, "no valid JSON object", path};
  return document;
}

class JsonFields {
 public:
  // Both outlive the reader. prefix: put before field names in messages ("rope_scaling.").
  JsonFields(const nlohmann::json& object, const std::string& path, std::string prefix = {})
      : object_(object), path_(path), prefix_(std::move(prefix)) {}

  // nullptr where missing or null.
  const nlohmann::json* find(const char* name) const {
    const auto found = object_.find(name);
    return found == object_.end() || found->is_null() ? nullptr : &*found;
  }

  Error error(Code code, const char* name, const std::string& message) const {
    return Error{code, prefix_ + name + " " + message, path_};
  }

  Result<int64_t> integer(const char* name) const {
    const nlohmann::json* value = find(name);
    if (value == nullptr) return error(Code::kCorrupt, name, "is missing");
    const bool fits = value->is_number_integer() &&
                      (!value->is_number_unsigned() || value->get<uint64_t>() <= INT64_MAX);
    if (!fits) return error(Code::kCorrupt, name, "must be an integer");
    return value->get<int64_t>();
  }
  Result<int64_t> integer_or(const char* name, int64_t missing) const {
    return find(name) == nullptr ? Result<int64_t>(missing) : integer(name);
  }

  // An integer that ModelSpec keeps as int.
  Result<int> size(const char* name) const {
    TQ_ASSIGN(const int64_t value, integer(name));
    if (value < 1 || value > INT32_MAX) {
      return error(Code::kCorrupt, name, "is " + std::to_string(value));
    }
    return static_cast<int>(value);
  }
  Result<int> size_or(const char* name, int missing) const {
    return find(name) == nullptr ? Result<int>(missing) : size(name);
  }

  Result<double> number(const char* name) const {
    const nlohmann::json* value = find(name);
    if (value == nullptr) return error(Code::kCorrupt, name, "is missing");
    if (!value->is_number() || !std::isfinite(value->get<double>())) {
      return error(Code::kCorrupt, name, "must be a finite number");
    }
    return value->get<double>();
  }
  Result<double> number_or(const char* name, double missing) const {
    return find(name) == nullptr ? Result<double>(missing) : number(name);
  }

  Result<bool> flag_or(const char* name, bool missing) const {
    const nlohmann::json* value = find(name);
    if (value == nullptr) return missing;
    if (!value->is_boolean()) return error(Code::kCorrupt, name, "must be true or false");
    return value->get<bool>();
  }

  Result<std::string> text_or(const char* name, const std::string& missing) const {
    const nlohmann::json* value = find(name);
    if (value == nullptr) return missing;
    if (!value->is_string()) return error(Code::kCorrupt, name, "must be a string");
    return value->get<std::string>();
  }

 private:
  const nlohmann::json& object_;
  const std::string& path_;
  std::string prefix_;
};

}  // namespace tq::models
