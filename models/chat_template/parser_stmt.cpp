// Statements: text, print, and the tags.

#include <algorithm>
#include <utility>

#include "models/chat_template/parser.h"

namespace tq::models::jinja {

// Everything up to one of the end tags, whose name becomes the current token; all of the source
// when there are none.
Body Parser::parse_body(std::initializer_list<std::string_view> end_names) {
  const Nested nested(*this);
  Body body;
  while (!at(TokenType::kEnd)) {
    auto stmt = std::make_unique<Stmt>();
    stmt->line = current().line;
    if (at(TokenType::kData)) {
      stmt->text = take().text;
    } else if (at(TokenType::kVariableBegin)) {
      take();
      stmt->kind = StmtKind::kPrint;
      stmt->expr = parse_tuple(true);
      expect(TokenType::kVariableEnd, "end of print statement");
    } else {
      expect(TokenType::kBlockBegin, "begin of statement block");
      const bool ended = at(TokenType::kName) && std::find(end_names.begin(), end_names.end(),
                                                           current().text) != end_names.end();
      if (ended) return body;
      stmt = parse_statement();
      expect(TokenType::kBlockEnd, "end of statement block");
    }
    settle_unknown();
    body.push_back(std::move(stmt));
  }
  if (end_names.size() == 0) return body;
  std::string wanted;
  for (std::string_view name : end_names) wanted += (wanted.empty() ? "" : " or ") + quoted(name);
  fail("Unexpected end of template. Jinja was looking for the following tags: " + wanted + ".");
}

// jinja2 refuses unknown filters and tests when it compiles, but in a conditional only when it gets
// there.
void Parser::settle_unknown() {
  if (!soft_ && !unknown_.empty()) fail(unknown_.front().message, unknown_.front().line);
  unknown_.clear();
}

// The rest of an opening tag, then its body; the end tag's name is current.
Body Parser::parse_block(std::initializer_list<std::string_view> end_names, bool conditional) {
  skip_operator(":");
  expect(TokenType::kBlockEnd, "end of statement block");
  settle_unknown();
  const bool outer_soft = std::exchange(soft_, conditional);
  Body body = parse_body(end_names);
  soft_ = outer_soft;
  return body;
}

Parser::NewStmt Parser::parse_statement() {
  if (!at(TokenType::kName)) fail("tag name expected");
  const Token tag = take();
  auto stmt = std::make_unique<Stmt>();
  stmt->line = tag.line;
  if (tag.text == "if")
    parse_if(*stmt);
  else if (tag.text == "for")
    parse_for(*stmt);
  else if (tag.text == "set")
    parse_set(*stmt);
  else if (tag.text == "macro")
    parse_macro(*stmt);
  else if (tag.text == "call")
    parse_call_block(*stmt);
  else if (tag.text == "filter")
    parse_filter_block(*stmt);
  else if (tag.text == "with")
    parse_with(*stmt);
  else if (tag.text == "print")
    parse_print(*stmt);
  else if (tag.text == "generation")
    parse_generation(*stmt);
  else if (tag.text == "break")
    parse_loop_control(*stmt, StmtKind::kBreak);
  else if (tag.text == "continue")
    parse_loop_control(*stmt, StmtKind::kContinue);
  else if (tag.text == "block" || tag.text == "extends" || tag.text == "include" ||
           tag.text == "import" || tag.text == "from" || tag.text == "autoescape")
    fail("the tag " + quoted(tag.text) + " is not supported in chat templates", tag.line);
  else
    fail("Encountered unknown tag " + quoted(tag.text) + ".", tag.line);
  return stmt;
}

void Parser::parse_if(Stmt& stmt) {
  stmt.kind = StmtKind::kIf;
  const bool outer_soft = std::exchange(soft_, true);
  while (true) {
    Branch branch;
    branch.condition = parse_tuple(false);
    branch.body = parse_block({"elif", "else", "endif"}, true);
    stmt.branches.push_back(std::move(branch));
    if (!skip_name("elif")) break;
  }
  if (skip_name("else")) stmt.else_body = parse_block({"endif"}, true);
  expect_name("endif");
  soft_ = outer_soft;
}

void Parser::parse_for(Stmt& stmt) {
  stmt.kind = StmtKind::kFor;
  stmt.target = parse_target(false);
  expect_name("in");
  stmt.expr = parse_tuple(false);
  if (skip_name("if")) stmt.condition = parse_expression();
  if (at_name("recursive")) fail("recursive loops are not supported in chat templates");
  ++loops_;
  stmt.body = parse_block({"endfor", "else"});
  --loops_;
  if (skip_name("else")) {
    stmt.has_else = true;
    stmt.else_body = parse_block({"endfor"});
  }
  expect_name("endfor");
}

Target Parser::parse_target_item(bool with_namespace) {
  const Nested nested(*this);
  Target target;
  if (skip_operator("(")) {
    target = parse_target(with_namespace);
    expect_operator(")");
    return target;
  }
  const int line = current().line;
  if (!at(TokenType::kName)) fail("can't assign to " + quoted(describe(current())));
  target.name = expect_any_name();
  static constexpr std::string_view kConstants[] = {"true", "false", "none",
                                                    "True", "False", "None"};
  if (std::find(std::begin(kConstants), std::end(kConstants), target.name) != std::end(kConstants))
    fail("can't assign to 'const'", line);
  if (with_namespace && skip_operator(".")) target.attribute = expect_any_name();
  return target;
}

Target Parser::parse_target(bool with_namespace) {
  Target first = parse_target_item(with_namespace);
  if (!at_operator(",")) return first;
  Target tuple;
  tuple.is_tuple = true;
  tuple.targets.push_back(std::move(first));
  while (skip_operator(",")) {
    if (at_tuple_end()) break;
    tuple.targets.push_back(parse_target_item(with_namespace));
  }
  return tuple;
}

void Parser::parse_set(Stmt& stmt) {
  stmt.target = parse_target(true);
  if (skip_operator("=")) {
    stmt.kind = StmtKind::kSet;
    stmt.expr = parse_tuple(true);
    return;
  }
  stmt.kind = StmtKind::kSetBlock;
  if (at_operator("|")) stmt.filter = parse_filters(nullptr, false);
  stmt.body = parse_block({"endset"});
  expect_name("endset");
}

void Parser::parse_with(Stmt& stmt) {
  stmt.kind = StmtKind::kWith;
  while (!at(TokenType::kBlockEnd)) {
    if (!stmt.assignments.empty()) expect_operator(",");
    Target target = parse_target(false);
    expect_operator("=");
    stmt.assignments.emplace_back(std::move(target), parse_expression());
  }
  stmt.body = parse_block({"endwith"});
  expect_name("endwith");
}

void Parser::parse_signature(MacroDef& macro) {
  expect_operator("(");
  while (!at_operator(")")) {
    if (!macro.parameters.empty()) expect_operator(",");
    Parameter parameter;
    parameter.name = expect_any_name();
    if (skip_operator("="))
      parameter.default_value = parse_expression();
    else if (!macro.parameters.empty() && macro.parameters.back().default_value)
      fail("non-default argument follows default argument");
    macro.parameters.push_back(std::move(parameter));
  }
  expect_operator(")");
}

void Parser::parse_macro_body(MacroDef& macro, std::string_view end_name) {
  const int outer_loops = std::exchange(loops_, 0);
  macros_.push_back(&macro);
  macro.body = parse_block({end_name});
  macros_.pop_back();
  loops_ = outer_loops;
  for (const Parameter& parameter : macro.parameters) {
    if (parameter.name == "caller" && macro.uses_caller && !parameter.default_value)
      fail("the special \"caller\" argument must be omitted or be given a default.", macro.line);
    if (parameter.name == "caller") macro.uses_caller = false;
    if (parameter.name == "varargs") macro.uses_varargs = false;
    if (parameter.name == "kwargs") macro.uses_kwargs = false;
  }
  expect_name(end_name);
}

void Parser::parse_macro(Stmt& stmt) {
  stmt.kind = StmtKind::kMacro;
  stmt.macro.line = stmt.line;
  stmt.macro.name = expect_any_name();
  parse_signature(stmt.macro);
  parse_macro_body(stmt.macro, "endmacro");
}

void Parser::parse_call_block(Stmt& stmt) {
  stmt.kind = StmtKind::kCallBlock;
  stmt.macro.line = stmt.line;
  if (at_operator("(")) parse_signature(stmt.macro);
  NewExpr call = parse_expression();
  if (call->kind != ExprKind::kCall) fail("expected call", stmt.line);
  stmt.expr = std::move(call);
  parse_macro_body(stmt.macro, "endcall");
}

void Parser::parse_filter_block(Stmt& stmt) {
  stmt.kind = StmtKind::kFilterBlock;
  stmt.filter = parse_filters(nullptr, true);
  stmt.body = parse_block({"endfilter"});
  expect_name("endfilter");
}

// transformers marks what the assistant wrote; for the text the tag is only a scope.
void Parser::parse_generation(Stmt& stmt) {
  stmt.kind = StmtKind::kScope;
  const int outer_loops = std::exchange(loops_, 0);  // its body is a function there
  stmt.body = parse_block({"endgeneration"});
  loops_ = outer_loops;
  expect_name("endgeneration");
}

void Parser::parse_print(Stmt& stmt) {
  stmt.kind = StmtKind::kPrint;
  NewExpr joined = make(ExprKind::kConcat, stmt.line);
  while (!at(TokenType::kBlockEnd)) {
    if (!joined->kids.empty()) expect_operator(",");
    joined->kids.push_back(parse_expression());
  }
  stmt.expr = finish(std::move(joined));
}

void Parser::parse_loop_control(Stmt& stmt, StmtKind kind) {
  stmt.kind = kind;
  if (loops_ == 0)
    fail(std::string(kind == StmtKind::kBreak ? "'break'" : "'continue'") + " outside loop",
         stmt.line);
}

}  // namespace tq::models::jinja
