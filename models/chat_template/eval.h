#pragma once
// Interpreter: walks a Program with one request's variables and returns the text. One object per
// render, one thread; the Program is shared and read only. Depth, steps and output are bounded by
// config/limits.h.

#include <string>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

#include "models/chat_template/ast.h"
#include "models/chat_template/runtime.h"

namespace tq::models::jinja {

class Interpreter final : public Runtime {
 public:
  explicit Interpreter(const Program& program) : program_(program) {}

  // Throws TemplateError. Call once; `variables` is an object.
  std::string run(const nlohmann::ordered_json& variables);

  Value call(const Value& callee, const Args& args) override;

 private:
  enum class Flow { kNext, kBreak, kContinue };

  // Bounds the C++ stack: every level of evaluation holds one.
  class Deeper {
   public:
    explicit Deeper(Interpreter& interpreter);
    ~Deeper() { --interpreter_.depth_; }
    Deeper(const Deeper&) = delete;
    Deeper& operator=(const Deeper&) = delete;

   private:
    Interpreter& interpreter_;
  };

  // Statements (eval_stmt.cpp).
  Flow exec_body(const Body& body);
  Flow exec(const Stmt& stmt);
  Flow exec_if(const Stmt& stmt);
  Flow exec_for(const Stmt& stmt);
  Flow exec_scoped(const Body& body, Scope* scope);
  Flow capture(const Body& body, Scope* scope, std::string& text);
  Flow exec_set_block(const Stmt& stmt);
  Flow exec_filter_block(const Stmt& stmt);
  Flow exec_with(const Stmt& stmt);
  void exec_call_block(const Stmt& stmt);
  void print(const Value& value);
  void assign(Scope& scope, const Target& target, const Value& value);
  void unpack(Scope& scope, const Target& target, const Value& value);

  // Expressions (eval_expr.cpp).
  Value eval(const Expr& expr);
  Value eval_node(const Expr& expr);
  Value eval_name(std::string_view name);
  Value eval_items(const Expr& expr);
  Value eval_dict(const Expr& expr);
  Value eval_logic(const Expr& expr);
  Value eval_arithmetic(const Expr& expr);
  Value eval_concat(const Expr& expr);
  Value eval_compare(const Expr& expr);
  Value eval_condition(const Expr& expr);
  Value eval_slice(const Expr& expr);
  Value eval_call(const Expr& expr, const Value* caller);
  Value eval_filter(const Expr& expr, const Value* input);
  Value eval_test(const Expr& expr);
  Args eval_args(const CallArgs& args);
  const Value* lookup(std::string_view name);

  // Macros (eval_macro.cpp).
  Value make_macro(const MacroDef& macro);
  Value call_macro(const Callable& callable, const Args& args);
  void bind_macro(const MacroDef& macro, const Args& args, Scope& scope);

  const Program& program_;
  Scope* scope_ = nullptr;
  std::string* out_ = nullptr;
  int depth_ = 0;
  int macro_depth_ = 0;
};

}  // namespace tq::models::jinja
