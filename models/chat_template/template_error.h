#pragma once
// TemplateError: why a template did not parse or render. Private to models/chat_template. A
// tree-walking interpreter fails some thirty calls deep, in filters that return plain values, so
// this folder uses an exception inside itself; ChatTemplate::parse and ::render are the wall that
// turns it into a Result.

#include <exception>
#include <string>
#include <utility>

#include "config/result.h"

namespace tq::models::jinja {

class TemplateError : public std::exception {
 public:
  TemplateError(Code code, int line, std::string message)
      : code_(code), line_(line), message_(std::move(message)) {}

  Code code() const noexcept { return code_; }
  int line() const noexcept { return line_; }  // 1-based; 0 when the render had not begun
  const std::string& message() const noexcept { return message_; }
  const char* what() const noexcept override { return message_.c_str(); }

 private:
  Code code_;
  int line_;
  std::string message_;
};

}  // namespace tq::models::jinja
