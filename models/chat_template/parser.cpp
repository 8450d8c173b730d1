#include "models/chat_template/parser.h"

#include <algorithm>

#include "config/limits.h"
#include "models/chat_template/template_error.h"
#include "models/chat_template/text.h"

namespace tq::models::jinja {

namespace {

// Chains such as a|b|c deepen the tree without nesting the source, so the tree has a bound of its
// own.
constexpr int kTreeDepthMax = 4 * limits::kTemplateDepthMax;

}  // namespace

Parser::Nested::Nested(Parser& parser) : parser_(parser) {
  if (++parser_.nesting_ <= limits::kTemplateDepthMax) return;
  --parser_.nesting_;
  parser_.fail("the template is nested deeper than " + std::to_string(limits::kTemplateDepthMax));
}

std::unique_ptr<const Program> Parser::parse() {
  program_ = std::make_unique<Program>();
  program_->body = parse_body({});
  return std::move(program_);
}

const Token& Parser::following() const { return tokens_[std::min(at_ + 1, tokens_.size() - 1)]; }

Token Parser::take() {
  Token token = current();
  if (at_ + 1 < tokens_.size()) ++at_;
  return token;
}

bool Parser::at_operator(std::string_view text) const {
  return at(TokenType::kOperator) && current().text == text;
}

bool Parser::at_name(std::string_view name) const {
  return at(TokenType::kName) && current().text == name;
}

bool Parser::skip_operator(std::string_view text) {
  const bool found = at_operator(text);
  if (found) take();
  return found;
}

bool Parser::skip_name(std::string_view name) {
  const bool found = at_name(name);
  if (found) take();
  return found;
}

void Parser::expect_operator(std::string_view text) {
  if (!skip_operator(text)) fail_expected(text);
}

void Parser::expect_name(std::string_view name) {
  if (!skip_name(name)) fail_expected(name);
}

void Parser::expect(TokenType type, std::string_view what) {
  if (!at(type)) fail_expected(what);
  take();
}

std::string Parser::expect_any_name() {
  if (!at(TokenType::kName)) fail_expected("name");
  return take().text;
}

void Parser::fail(const std::string& message, int line) const {
  throw TemplateError(Code::kInvalidArgument, line, message);
}

void Parser::fail_expected(std::string_view what) const {
  if (at(TokenType::kEnd)) fail("unexpected end of template, expected " + quoted(what) + ".");
  fail("expected token " + quoted(what) + ", got " + quoted(describe(current())));
}

Parser::NewExpr Parser::make(ExprKind kind, int line) const {
  auto node = std::make_unique<Expr>();
  node->kind = kind;
  node->line = line;
  return node;
}

Parser::NewExpr Parser::finish(NewExpr node) {
  const auto deepen = [&node](const ExprPtr& kid) {
    if (kid) node->depth = std::max(node->depth, kid->depth + 1);
  };
  for (const ExprPtr& kid : node->kids) deepen(kid);
  for (const ExprPtr& argument : node->args.positional) deepen(argument);
  for (const auto& argument : node->args.named) deepen(argument.second);
  deepen(node->args.star);
  deepen(node->args.double_star);
  if (node->depth > kTreeDepthMax)
    fail("an expression is deeper than " + std::to_string(kTreeDepthMax), node->line);
  return node;
}

Value Parser::literal(std::string text) {
  Str& made = program_->literals.emplace_back();
  made.owned = std::move(text);
  made.text = made.owned;
  made.n_chars = count_chars(made.text);
  return Value(static_cast<const Str*>(&made));
}

}  // namespace tq::models::jinja
