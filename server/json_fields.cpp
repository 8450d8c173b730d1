#include "server/json_fields.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <utility>

namespace tq::server {
namespace {

Error invalid(std::string message, std::string where) {
  return Error{Code::kInvalidArgument, std::move(message), std::move(where)};
}

// Counts nesting and members without building anything. Malformed text is left to the parser.
Result<void> check_bounds(std::string_view text) {
  std::array<int, kJsonDepthMax + 1> commas{};
  std::array<bool, kJsonDepthMax + 1> in_object{};
  int depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      in_string = c != '"';
      continue;
    }
    if (c == '"') in_string = true;
    if (c == '{' || c == '[') {
      if (++depth > kJsonDepthMax) {
        return invalid("JSON is nested more than " + std::to_string(kJsonDepthMax) + " deep", "");
      }
      commas[static_cast<size_t>(depth)] = 0;
      in_object[static_cast<size_t>(depth)] = c == '{';
    }
    if ((c == '}' || c == ']') && depth > 0) --depth;
    if (c == ',' && in_object[static_cast<size_t>(depth)] &&
        ++commas[static_cast<size_t>(depth)] >= kJsonMembersMax) {
      return invalid("a JSON object has more than " + std::to_string(kJsonMembersMax) + " members",
                     "");
    }
  }
  return {};
}

std::string shown(double value) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%g", value);
  return text.data();
}

}  // namespace

Result<Json> parse_json(std::string_view text) {
  if (text.empty()) return invalid("the body is empty; it must be a JSON object", "");
  TQ_TRY(check_bounds(text));
  try {
    return Json::parse(text);
  } catch (const Json::parse_error& e) {
    return invalid("the body is no valid JSON, at byte " + std::to_string(e.byte) + ": " + e.what(),
                   "");
  } catch (const Json::exception& e) {
    return invalid(std::string("the body is no valid JSON: ") + e.what(), "");
  }
}

Result<Fields> Fields::open(const Json& object, std::string path) {
  if (!object.is_object()) {
    const std::string subject = path.empty() ? "the body" : "'" + path + "'";
    return invalid(subject + " must be a JSON object", std::move(path));
  }
  return Fields(object, std::move(path));
}

std::string Fields::path(std::string_view key) const {
  return path_.empty() ? std::string(key) : path_ + "." + std::string(key);
}

Error Fields::wrong(std::string_view key, std::string message) const {
  return invalid("'" + path(key) + "' " + std::move(message), path(key));
}

Error Fields::unsupported(std::string_view key, std::string message) const {
  return Error{Code::kUnsupported, "'" + path(key) + "' " + std::move(message), path(key)};
}

const Json* Fields::find(std::string_view key) {
  seen_.emplace_back(key);
  const auto found = object_->find(key);
  return found == object_->end() || found->is_null() ? nullptr : &*found;
}

void Fields::ignore(std::string_view key) { seen_.emplace_back(key); }

Result<std::optional<bool>> Fields::boolean(std::string_view key) {
  const Json* value = find(key);
  if (value == nullptr) return std::optional<bool>();
  if (!value->is_boolean()) return wrong(key, "must be true or false");
  return std::optional<bool>(value->get<bool>());
}

Result<std::optional<int64_t>> Fields::integer(std::string_view key, IntegerRange range) {
  const Json* value = find(key);
  if (value == nullptr) return std::optional<int64_t>();
  const std::string limits = std::to_string(range.min) + " to " + std::to_string(range.max);
  if (!value->is_number_integer()) return wrong(key, "must be a whole number, " + limits);
  const bool too_large =
      value->is_number_unsigned() && value->get<uint64_t>() > static_cast<uint64_t>(INT64_MAX);
  const int64_t number = too_large ? INT64_MAX : value->get<int64_t>();
  if (too_large || number < range.min || number > range.max) {
    return wrong(key, "is " + value->dump() + "; it must be " + limits);
  }
  return std::optional<int64_t>(number);
}

Result<std::optional<double>> Fields::number(std::string_view key, NumberRange range) {
  const Json* value = find(key);
  if (value == nullptr) return std::optional<double>();
  const std::string limits =
      (range.min_open ? "above " + shown(range.min) + " and at most " : shown(range.min) + " to ") +
      shown(range.max);
  if (!value->is_number()) return wrong(key, "must be a number, " + limits);
  const double number = value->get<double>();
  const bool low = range.min_open ? !(number > range.min) : !(number >= range.min);
  if (!std::isfinite(number) || low || number > range.max) {
    return wrong(key, "is " + shown(number) + "; it must be " + limits);
  }
  return std::optional<double>(number);
}

Result<std::optional<std::string>> Fields::text(std::string_view key, size_t bytes_max) {
  const Json* value = find(key);
  if (value == nullptr) return std::optional<std::string>();
  if (!value->is_string()) return wrong(key, "must be a string");
  const auto& text = value->get_ref<const std::string&>();
  if (text.size() > bytes_max) {
    return wrong(key, "has " + std::to_string(text.size()) + " bytes; at most " +
                          std::to_string(bytes_max) + " are allowed");
  }
  return std::optional<std::string>(text);
}

Result<void> Fields::expect_no_more() const {
  for (const auto& [key, value] : object_->items()) {
    if (std::find(seen_.begin(), seen_.end(), key) == seen_.end()) {
      return invalid("unknown field '" + path(key) + "'", path(key));
    }
  }
  return {};
}

}  // namespace tq::server
