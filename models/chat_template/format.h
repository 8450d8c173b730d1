#pragma once
// Python's two string formatters, as far as chat templates use them: "%s and %.2f" % x and "{}
// {name}".format. A directive beyond that is an error that quotes it. One render's thread.

#include <string>
#include <string_view>

#include "models/chat_template/runtime.h"

namespace tq::models::jinja {

std::string printf_format(Runtime& rt, std::string_view format, const Value& operand);
std::string brace_format(Runtime& rt, std::string_view format, const Args& args);

}  // namespace tq::models::jinja
