// What follows a primary expression: attributes, subscripts, calls, filters and tests.

#include <utility>

#include "models/chat_template/parser.h"

namespace tq::models::jinja {

Parser::NewExpr Parser::parse_postfix(NewExpr node) {
  while (true) {
    if (at_operator(".") || at_operator("["))
      node = parse_subscript(std::move(node));
    else if (at_operator("("))
      node = parse_call(std::move(node));
    else
      return node;
  }
}

Parser::NewExpr Parser::parse_filter_or_test(NewExpr node) {
  while (true) {
    if (at_operator("|"))
      node = parse_filters(std::move(node), false);
    else if (at_name("is"))
      node = parse_test(std::move(node));
    else if (at_operator("("))
      node = parse_call(std::move(node));
    else
      return node;
  }
}

Parser::NewExpr Parser::parse_subscript(NewExpr node) {
  const Token token = take();
  if (token.text == "[") return parse_brackets(std::move(node), token.line);
  NewExpr access = make(ExprKind::kAttribute, token.line);
  access->kids.push_back(std::move(node));
  if (at(TokenType::kName)) {
    access->name = take().text;
    return finish(std::move(access));
  }
  if (!at(TokenType::kInteger)) fail("expected name or number");
  access->kind = ExprKind::kItem;  // x.0 is x[0]
  NewExpr index = make(ExprKind::kConst, current().line);
  index->value = Value(take().integer);
  access->kids.push_back(std::move(index));
  return finish(std::move(access));
}

Parser::NewExpr Parser::parse_brackets(NewExpr node, int line) {
  NewExpr access = make(ExprKind::kItem, line);
  access->kids.push_back(std::move(node));
  if (at_operator("]")) {  // x[] is x[()] in jinja2's grammar
    access->kids.push_back(make(ExprKind::kTuple, line));
  } else if (!at_operator(":")) {
    access->kids.push_back(parse_expression());
  }
  if (at_operator(":")) {
    access->kind = ExprKind::kSlice;
    if (access->kids.size() == 1) access->kids.push_back(nullptr);
    while (access->kids.size() < 4 && skip_operator(":")) {
      const bool absent = at_operator(":") || at_operator("]") || at_operator(",");
      access->kids.push_back(absent ? nullptr : parse_expression());
    }
    access->kids.resize(4);
  }
  if (at_operator(",") && access->kind == ExprKind::kItem) {
    NewExpr tuple = make(ExprKind::kTuple, line);
    tuple->kids.push_back(std::move(access->kids.back()));
    access->kids.pop_back();
    while (skip_operator(",") && !at_operator("]")) tuple->kids.push_back(parse_expression());
    if (tuple->kids.size() == 1)  // x[1,] is x[1] in jinja2
      access->kids.push_back(std::move(tuple->kids.back()));
    else
      access->kids.push_back(finish(std::move(tuple)));
  }
  expect_operator("]");
  return finish(std::move(access));
}

CallArgs Parser::parse_call_args() {
  const int line = current().line;
  CallArgs args;
  const auto ensure = [&](bool holds) {
    if (!holds) fail("invalid syntax for function call expression", line);
  };
  expect_operator("(");
  bool need_comma = false;
  while (!at_operator(")")) {
    if (need_comma) {
      expect_operator(",");
      if (at_operator(")")) break;
    }
    need_comma = true;
    if (skip_operator("*")) {
      ensure(!args.star && !args.double_star);
      args.star = parse_expression();
    } else if (skip_operator("**")) {
      ensure(!args.double_star);
      args.double_star = parse_expression();
    } else if (at(TokenType::kName) && following().type == TokenType::kOperator &&
               following().text == "=") {
      ensure(!args.double_star);
      std::string name = take().text;
      take();
      args.named.emplace_back(std::move(name), parse_expression());
    } else {
      ensure(!args.star && !args.double_star && args.named.empty());
      args.positional.push_back(parse_expression());
    }
  }
  expect_operator(")");
  return args;
}

Parser::NewExpr Parser::parse_call(NewExpr node) {
  NewExpr call = make(ExprKind::kCall, current().line);
  call->kids.push_back(std::move(node));
  call->args = parse_call_args();
  return finish(std::move(call));
}

Parser::NewExpr Parser::parse_filters(NewExpr node, bool at_first_name) {
  while (at_first_name || skip_operator("|")) {
    at_first_name = false;
    NewExpr filter = make(ExprKind::kFilter, current().line);
    filter->name = expect_any_name();
    while (skip_operator(".")) filter->name += "." + expect_any_name();
    filter->kids.push_back(std::move(node));
    if (at_operator("(")) filter->args = parse_call_args();
    filter->filter = find_filter(filter->name);
    if (filter->filter == nullptr)
      unknown_.push_back({"No filter named " + quoted(filter->name) + ".", filter->line});
    node = finish(std::move(filter));
  }
  return node;
}

bool Parser::at_test_argument() const {
  if (at_name("else") || at_name("or") || at_name("and")) return false;
  return at(TokenType::kName) || at(TokenType::kString) || at(TokenType::kInteger) ||
         at(TokenType::kFloat) || at_operator("[") || at_operator("{");
}

Parser::NewExpr Parser::parse_test(NewExpr node) {
  NewExpr test = make(ExprKind::kTest, take().line);
  const bool negated = skip_name("not");
  test->name = expect_any_name();
  while (skip_operator(".")) test->name += "." + expect_any_name();
  test->kids.push_back(std::move(node));
  if (at_operator("(")) {
    test->args = parse_call_args();
  } else if (at_test_argument()) {
    if (at_name("is")) fail("You cannot chain multiple tests with is");
    const Nested nested(*this);
    test->args.positional.push_back(parse_postfix(parse_primary()));
  }
  test->test = find_test(test->name);
  if (test->test == nullptr)
    unknown_.push_back({"No test named " + quoted(test->name) + ".", test->line});
  test = finish(std::move(test));
  if (!negated) return test;
  NewExpr node_not = make(ExprKind::kNot, test->line);
  node_not->kids.push_back(std::move(test));
  return finish(std::move(node_not));
}

}  // namespace tq::models::jinja
