#pragma once
// Parser: tokens to a Program, by jinja2's grammar (its precedence, its quirks). Nesting is
// bounded, so hostile source ends in an error and not in a stack overflow. Throws TemplateError.
// One Parser per source, one thread.

#include <cstddef>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "models/chat_template/ast.h"
#include "models/chat_template/lexer.h"

namespace tq::models::jinja {

class Parser {
 public:
  explicit Parser(std::string_view source) : tokens_(tokenize(source)) {}

  std::unique_ptr<const Program> parse();

 private:
  using NewExpr = std::unique_ptr<Expr>;
  using NewStmt = std::unique_ptr<Stmt>;

  // Counts nesting of expressions and blocks.
  class Nested {
   public:
    explicit Nested(Parser& parser);
    ~Nested() { --parser_.nesting_; }
    Nested(const Nested&) = delete;
    Nested& operator=(const Nested&) = delete;

   private:
    Parser& parser_;
  };

  // Tokens (parser.cpp).
  const Token& current() const { return tokens_[at_]; }
  const Token& following() const;
  Token take();
  bool at(TokenType type) const { return current().type == type; }
  bool at_operator(std::string_view text) const;
  bool at_name(std::string_view name) const;
  bool skip_operator(std::string_view text);
  bool skip_name(std::string_view name);
  void expect_operator(std::string_view text);
  void expect_name(std::string_view name);
  void expect(TokenType type, std::string_view what);
  std::string expect_any_name();
  [[noreturn]] void fail(const std::string& message, int line) const;
  [[noreturn]] void fail(const std::string& message) const { fail(message, current().line); }
  [[noreturn]] void fail_expected(std::string_view what) const;

  // Statements (parser_stmt.cpp).
  Body parse_block(std::initializer_list<std::string_view> end_names, bool conditional = false);
  Body parse_body(std::initializer_list<std::string_view> end_names);
  void settle_unknown();
  NewStmt parse_statement();
  NewStmt parse_compound(const Token& tag, NewStmt stmt);
  void parse_if(Stmt& stmt);
  void parse_for(Stmt& stmt);
  void parse_set(Stmt& stmt);
  void parse_with(Stmt& stmt);
  void parse_macro(Stmt& stmt);
  void parse_call_block(Stmt& stmt);
  void parse_filter_block(Stmt& stmt);
  void parse_generation(Stmt& stmt);
  void parse_print(Stmt& stmt);
  void parse_loop_control(Stmt& stmt, StmtKind kind);
  void parse_signature(MacroDef& macro);
  void parse_macro_body(MacroDef& macro, std::string_view end_name);
  Target parse_target(bool with_namespace);
  Target parse_target_item(bool with_namespace);

  // Expressions (parser_expr.cpp), from the loosest binding to the tightest.
  NewExpr parse_tuple(bool with_condition, bool in_parentheses = false);
  NewExpr parse_expression(bool with_condition = true);
  NewExpr parse_condition();
  NewExpr parse_or();
  NewExpr parse_and();
  NewExpr parse_not();
  NewExpr parse_compare();
  NewExpr parse_sum();
  NewExpr parse_concat();
  NewExpr parse_product();
  NewExpr parse_power();
  NewExpr parse_unary(bool with_filter = true);
  NewExpr parse_primary();
  NewExpr parse_list();
  NewExpr parse_dict();
  NewExpr parse_postfix(NewExpr node);
  NewExpr parse_filter_or_test(NewExpr node);
  NewExpr parse_filters(NewExpr node, bool at_first_name);
  NewExpr parse_test(NewExpr node);
  NewExpr parse_subscript(NewExpr node);
  NewExpr parse_brackets(NewExpr node, int line);
  NewExpr parse_call(NewExpr node);
  CallArgs parse_call_args();
  bool at_tuple_end() const;
  bool at_test_argument() const;

  NewExpr make(ExprKind kind, int line) const;
  NewExpr start_chain(ExprKind kind, NewExpr first) const;  // a node whose first kid it is
  NewExpr finish(NewExpr node);                             // computes and bounds the depth
  Value literal(std::string text);

  std::vector<Token> tokens_;
  size_t at_ = 0;
  int nesting_ = 0;
  int loops_ = 0;      // loops open in the current function: break and continue need one
  bool soft_ = false;  // inside a conditional: an unknown filter is an error only when reached
  struct Unknown {
    std::string message;
    int line = 0;
  };
  std::vector<Unknown> unknown_;   // filters and tests of the current statement that do not exist
  std::vector<MacroDef*> macros_;  // whose bodies are being parsed
  std::unique_ptr<Program> program_;
};

}  // namespace tq::models::jinja
