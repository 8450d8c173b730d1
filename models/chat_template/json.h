#pragma once
// JSON in and out: a request's variables to Values, and json.dumps as transformers' tojson filter
// calls it.

#include <string>

#include <nlohmann/json_fwd.hpp>

#include "models/chat_template/runtime.h"

namespace tq::models::jinja {

// Strings are viewed, not copied: `json` outlives the render.
Value from_json(Runtime& rt, const nlohmann::ordered_json& json);

struct JsonStyle {
  bool ensure_ascii = false;
  bool indented = false;
  std::string indent;  // one level
  std::string item_separator = ", ";
  std::string key_separator = ": ";
  bool sort_keys = false;
};
std::string dump_json(Runtime& rt, const Value& value, const JsonStyle& style);

}  // namespace tq::models::jinja
