#pragma once
// Python's int(str) and float(str). Pure, any thread.

#include <string_view>

#include "models/chat_template/value.h"

namespace tq::models::jinja {

enum class ParseNumber { kOk, kMalformed, kTooLarge };

// Surrounding whitespace, a sign, '_' between digits and, for base 0, 2, 8 and 16, a prefix are
// allowed.
ParseNumber parse_python_int(std::string_view text, Int base, Int& value);
bool parse_python_float(std::string_view text, double& value);

}  // namespace tq::models::jinja
