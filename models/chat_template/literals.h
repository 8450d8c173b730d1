#pragma once
// Literals inside tags: numbers as jinja2's lexer delimits them, and Python's unicode-escape. Pure,
// any thread.

#include <cstddef>
#include <string>
#include <string_view>

#include "models/chat_template/value.h"

namespace tq::models::jinja {

// Length of the float or integer that `text` begins with; 0 when it begins with none.
size_t float_length(std::string_view text);
size_t integer_length(std::string_view text);

double parse_float(std::string_view text);              // digits may hold '_'
bool parse_integer(std::string_view text, Int& value);  // 0x, 0o, 0b, '_'; false: beyond 128 bits

// Decodes backslash escapes; `problem` is set when one is malformed.
std::string unescape(std::string_view text, std::string& problem);

}  // namespace tq::models::jinja
