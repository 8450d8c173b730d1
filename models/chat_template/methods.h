#pragma once
// Attributes that Python values have by nature: methods of str, list and dict, fields of loop and
// namespaces. What the immutable sandbox of transformers forbids (dict.pop, list.sort, __class__)
// is an undefined value that says so. list.append works on lists that the template made. One
// render's thread.

#include <string_view>

#include "models/chat_template/runtime.h"

namespace tq::models::jinja {

// True when `value` has the attribute; `out` is then its value.
bool find_attribute(Runtime& rt, const Value& value, std::string_view name, Value& out);

// The str method of that name, or null. Defined in methods_str.cpp.
NativeFn find_str_method(std::string_view name);

}  // namespace tq::models::jinja
