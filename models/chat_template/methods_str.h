#pragma once
// The tables of str methods, joined by find_str_method (methods.h). Constant; any thread.

#include <string_view>

#include "models/chat_template/methods.h"

namespace tq::models::jinja {

struct StrMethod {
  std::string_view name;
  NativeFn fn;
};

NativeFn find_str_query(std::string_view name);  // null when there is none

}  // namespace tq::models::jinja
