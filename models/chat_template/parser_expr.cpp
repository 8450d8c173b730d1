// Expressions. Each function follows the rule of the same name in jinja2's grammar.

#include <utility>

#include "models/chat_template/parser.h"

namespace tq::models::jinja {

bool Parser::at_tuple_end() const {
  return at(TokenType::kVariableEnd) || at(TokenType::kBlockEnd) || at_operator(")");
}

Parser::NewExpr Parser::parse_tuple(bool with_condition, bool in_parentheses) {
  const int line = current().line;
  std::vector<ExprPtr> items;
  bool is_tuple = false;
  while (!at_tuple_end()) {
    NewExpr item = parse_expression(with_condition);
    if (!at_operator(",") && !is_tuple) return item;
    items.push_back(std::move(item));
    if (!skip_operator(",")) break;
    is_tuple = true;
  }
  if (!is_tuple && !in_parentheses)
    fail("Expected an expression, got " + quoted(describe(current())));
  NewExpr node = make(ExprKind::kTuple, line);
  node->kids = std::move(items);
  return finish(std::move(node));
}

Parser::NewExpr Parser::parse_expression(bool with_condition) {
  const Nested nested(*this);
  return with_condition ? parse_condition() : parse_or();
}

Parser::NewExpr Parser::parse_condition() {
  const int line = current().line;
  const size_t n_unknown = unknown_.size();
  NewExpr value = parse_or();
  while (skip_name("if")) {
    NewExpr node = make(ExprKind::kCondition, line);
    node->kids.push_back(std::move(value));
    node->kids.push_back(parse_or());
    if (skip_name("else")) {
      const Nested nested(*this);
      node->kids.push_back(parse_condition());
    } else {
      node->kids.push_back(nullptr);
    }
    value = finish(std::move(node));
    unknown_.resize(n_unknown);  // an unknown filter in here is an error only when it is reached
  }
  return value;
}

Parser::NewExpr Parser::parse_or() {
  NewExpr first = parse_and();
  if (!at_name("or")) return first;
  NewExpr node = make(ExprKind::kOr, first->line);
  node->kids.push_back(std::move(first));
  while (skip_name("or")) node->kids.push_back(parse_and());
  return finish(std::move(node));
}

Parser::NewExpr Parser::parse_and() {
  NewExpr first = parse_not();
  if (!at_name("and")) return first;
  NewExpr node = make(ExprKind::kAnd, first->line);
  node->kids.push_back(std::move(first));
  while (skip_name("and")) node->kids.push_back(parse_not());
  return finish(std::move(node));
}

Parser::NewExpr Parser::parse_not() {
  if (!at_name("not")) return parse_compare();
  const Nested nested(*this);
  NewExpr node = make(ExprKind::kNot, take().line);
  node->kids.push_back(parse_not());
  return finish(std::move(node));
}

namespace {

// The comparison a token stands for; false when it is none.
bool comparison_of(const Token& token, CompareOp& op) {
  if (token.type == TokenType::kName && token.text == "in") {
    op = CompareOp::kIn;
    return true;
  }
  if (token.type != TokenType::kOperator) return false;
  if (token.text == "==")
    op = CompareOp::kEq;
  else if (token.text == "!=")
    op = CompareOp::kNe;
  else if (token.text == "<")
    op = CompareOp::kLt;
  else if (token.text == "<=")
    op = CompareOp::kLe;
  else if (token.text == ">")
    op = CompareOp::kGt;
  else if (token.text == ">=")
    op = CompareOp::kGe;
  else
    return false;
  return true;
}

bool arithmetic_of(const Token& token,
                   std::initializer_list<std::string_view> allowed,
                   BinaryOp& op) {
  if (token.type != TokenType::kOperator) return false;
  static constexpr std::string_view kSymbols[] = {"+", "-", "*", "/", "//", "%", "**"};
  for (std::string_view symbol : allowed) {
    if (token.text != symbol) continue;
    for (size_t i = 0; i < std::size(kSymbols); ++i)
      if (kSymbols[i] == symbol) op = static_cast<BinaryOp>(i);
    return true;
  }
  return false;
}

}  // namespace

Parser::NewExpr Parser::parse_compare() {
  NewExpr first = parse_sum();
  bool is_chain = false;
  while (true) {
    CompareOp op = CompareOp::kEq;
    if (comparison_of(current(), op)) {
      take();
    } else if (at_name("not") && following().type == TokenType::kName && following().text == "in") {
      take();
      take();
      op = CompareOp::kNotIn;
    } else {
      break;
    }
    if (!is_chain) first = start_chain(ExprKind::kCompare, std::move(first));
    is_chain = true;
    first->comparisons.push_back(op);
    first->kids.push_back(parse_sum());
  }
  return is_chain ? finish(std::move(first)) : std::move(first);
}

Parser::NewExpr Parser::start_chain(ExprKind kind, NewExpr first) const {
  NewExpr node = make(kind, first->line);
  node->kids.push_back(std::move(first));
  return node;
}

Parser::NewExpr Parser::parse_sum() {
  NewExpr first = parse_concat();
  bool is_chain = false;
  for (BinaryOp op{}; arithmetic_of(current(), {"+", "-"}, op);) {
    take();
    if (!is_chain) first = start_chain(ExprKind::kArithmetic, std::move(first));
    is_chain = true;
    first->operators.push_back(op);
    first->kids.push_back(parse_concat());
  }
  return is_chain ? finish(std::move(first)) : std::move(first);
}

Parser::NewExpr Parser::parse_concat() {
  NewExpr first = parse_product();
  if (!at_operator("~")) return first;
  NewExpr node = make(ExprKind::kConcat, first->line);
  node->kids.push_back(std::move(first));
  while (skip_operator("~")) node->kids.push_back(parse_product());
  return finish(std::move(node));
}

Parser::NewExpr Parser::parse_product() {
  NewExpr first = parse_power();
  bool is_chain = false;
  for (BinaryOp op{}; arithmetic_of(current(), {"*", "/", "//", "%"}, op);) {
    take();
    if (!is_chain) first = start_chain(ExprKind::kArithmetic, std::move(first));
    is_chain = true;
    first->operators.push_back(op);
    first->kids.push_back(parse_power());
  }
  return is_chain ? finish(std::move(first)) : std::move(first);
}

Parser::NewExpr Parser::parse_power() {
  NewExpr first = parse_unary();
  if (!at_operator("**")) return first;
  // jinja2 folds ** from the left, unlike Python.
  NewExpr node = make(ExprKind::kArithmetic, first->line);
  node->kids.push_back(std::move(first));
  while (skip_operator("**")) {
    node->operators.push_back(BinaryOp::kPow);
    node->kids.push_back(parse_unary());
  }
  return finish(std::move(node));
}

Parser::NewExpr Parser::parse_unary(bool with_filter) {
  NewExpr node;
  if (at_operator("-") || at_operator("+")) {
    const Nested nested(*this);
    const Token sign = take();
    node = make(sign.text == "-" ? ExprKind::kNegate : ExprKind::kPlus, sign.line);
    node->kids.push_back(parse_unary(false));
    node = finish(std::move(node));
  } else {
    node = parse_primary();
  }
  node = parse_postfix(std::move(node));
  return with_filter ? parse_filter_or_test(std::move(node)) : std::move(node);
}

namespace {

bool constant_name(std::string_view name, Value& value) {
  if (name == "true" || name == "True")
    value = Value(true);
  else if (name == "false" || name == "False")
    value = Value(false);
  else if (name == "none" || name == "None")
    value = Value::none();
  else
    return false;
  return true;
}

}  // namespace

Parser::NewExpr Parser::parse_primary() {
  if (at_operator("[")) return parse_list();
  if (at_operator("{")) return parse_dict();
  if (at_operator("(")) {
    take();
    NewExpr inner = parse_tuple(true, true);
    expect_operator(")");
    return inner;
  }
  NewExpr node = make(ExprKind::kConst, current().line);
  if (at(TokenType::kName)) {
    const std::string name = take().text;
    if (constant_name(name, node->value)) return node;
    node->kind = ExprKind::kName;
    node->name = name;
    for (MacroDef* macro : macros_) {
      macro->uses_caller |= name == "caller";
      macro->uses_varargs |= name == "varargs";
      macro->uses_kwargs |= name == "kwargs";
    }
    return node;
  }
  if (at(TokenType::kString)) {
    std::string text;
    while (at(TokenType::kString)) text += take().text;  // adjacent strings are one
    node->value = literal(std::move(text));
    return node;
  }
  if (at(TokenType::kInteger)) {
    node->value = Value(take().integer);
    return node;
  }
  if (at(TokenType::kFloat)) {
    node->value = Value(take().real);
    return node;
  }
  if (at(TokenType::kEnd)) fail("unexpected end of template");
  fail("unexpected " + quoted(describe(current())));
}

Parser::NewExpr Parser::parse_list() {
  NewExpr node = make(ExprKind::kList, take().line);
  while (!at_operator("]")) {
    if (!node->kids.empty()) expect_operator(",");
    if (at_operator("]")) break;
    node->kids.push_back(parse_expression());
  }
  expect_operator("]");
  return finish(std::move(node));
}

Parser::NewExpr Parser::parse_dict() {
  NewExpr node = make(ExprKind::kDict, take().line);
  while (!at_operator("}")) {
    if (!node->kids.empty()) expect_operator(",");
    if (at_operator("}")) break;
    node->kids.push_back(parse_expression());
    expect_operator(":");
    node->kids.push_back(parse_expression());
  }
  expect_operator("}");
  return finish(std::move(node));
}

}  // namespace tq::models::jinja
