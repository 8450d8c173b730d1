#pragma once
// Lexer: template source to tokens, with whitespace control done: trim_blocks and lstrip_blocks are
// on and one trailing newline is dropped, as transformers configures jinja2. Throws TemplateError.
// Any thread.

#include <string>
#include <string_view>
#include <vector>

#include "models/chat_template/value.h"

namespace tq::models::jinja {

enum class TokenType {
  kData,           // text between tags
  kVariableBegin,  // {{
  kVariableEnd,
  kBlockBegin,  // {%
  kBlockEnd,
  kName,
  kString,
  kInteger,
  kFloat,
  kOperator,  // text holds it: "+", "**", "(", ...
  kEnd
};

struct Token {
  TokenType type = TokenType::kEnd;
  int line = 1;
  std::string text;  // the name, the decoded string, the operator, the data
  Int integer = 0;
  double real = 0;
};

// The last token is kEnd.
std::vector<Token> tokenize(std::string_view source);

// How an error message names a token, as jinja2 does.
std::string describe(const Token& token);

}  // namespace tq::models::jinja
