#include "config/result.h"

namespace tq {

std::string_view to_string(Code code) noexcept {
  switch (code) {
    case Code::kInvalidArgument: return "invalid argument";
    case Code::kContextLength: return "context length exceeded";
    case Code::kUnauthorized: return "unauthorized";
    case Code::kForbidden: return "forbidden";
    case Code::kNotFound: return "not found";
    case Code::kTooLarge: return "too large";
    case Code::kOverloaded: return "overloaded";
    case Code::kCancelled: return "cancelled";
    case Code::kInternal: return "internal error";
    case Code::kUnsupported: return "not supported";
    case Code::kUnavailable: return "unavailable";
    case Code::kDeadline: return "deadline passed";
    case Code::kCorrupt: return "corrupt file";
    case Code::kIo: return "input/output error";
  }
  return "unknown";
}

std::string Error::describe() const {
  std::string text;
  if (!where.empty()) text = where + ": ";
  text += message;
  text += " (";
  text += to_string(code);
  text += ')';
  return text;
}

}  // namespace tq
