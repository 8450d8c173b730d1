// Statements.

#include <utility>

#include <nlohmann/json.hpp>

#include "models/chat_template/eval.h"
#include "models/chat_template/json.h"

namespace tq::models::jinja {

std::string Interpreter::run(const nlohmann::ordered_json& variables) {
  std::string text;
  out_ = &text;
  scope_ = new_scope(nullptr);
  for (const auto& [name, value] : variables.items())
    scope_->variables.emplace_back(name, from_json(*this, value));
  exec_body(program_.body);
  return text;
}

Interpreter::Flow Interpreter::exec_body(const Body& body) {
  const Deeper deeper(*this);
  for (const StmtPtr& stmt : body)
    if (const Flow flow = exec(*stmt); flow != Flow::kNext) return flow;
  return Flow::kNext;
}

Interpreter::Flow Interpreter::exec(const Stmt& stmt) {
  charge(1);
  set_line(stmt.line);
  switch (stmt.kind) {
    case StmtKind::kText:
      charge_bytes(stmt.text.size());
      check_size(out_->size() + stmt.text.size());
      *out_ += stmt.text;
      break;
    case StmtKind::kPrint: print(eval(*stmt.expr)); break;
    case StmtKind::kIf: return exec_if(stmt);
    case StmtKind::kFor: return exec_for(stmt);
    case StmtKind::kSet: assign(*scope_, stmt.target, eval(*stmt.expr)); break;
    case StmtKind::kSetBlock: return exec_set_block(stmt);
    case StmtKind::kWith: return exec_with(stmt);
    case StmtKind::kMacro: scope_->assign(stmt.macro.name, make_macro(stmt.macro)); break;
    case StmtKind::kCallBlock: exec_call_block(stmt); break;
    case StmtKind::kFilterBlock: return exec_filter_block(stmt);
    case StmtKind::kScope: return exec_scoped(stmt.body, new_scope(scope_));
    case StmtKind::kBreak: return Flow::kBreak;
    case StmtKind::kContinue: return Flow::kContinue;
  }
  return Flow::kNext;
}

void Interpreter::print(const Value& value) { append_str(*this, *out_, value); }

Interpreter::Flow Interpreter::exec_if(const Stmt& stmt) {
  for (const Branch& branch : stmt.branches)
    if (truthy(eval(*branch.condition))) return exec_body(branch.body);
  return exec_body(stmt.else_body);
}

Interpreter::Flow Interpreter::exec_scoped(const Body& body, Scope* scope) {
  Scope* const outer = std::exchange(scope_, scope);
  const Flow flow = exec_body(body);
  scope_ = outer;  // an error leaves it: the render is over then
  return flow;
}

// Runs `body` with its output going to `text`.
Interpreter::Flow Interpreter::capture(const Body& body, Scope* scope, std::string& text) {
  std::string* const outer = std::exchange(out_, &text);
  const Flow flow = exec_scoped(body, scope);
  out_ = outer;
  return flow;
}

Interpreter::Flow Interpreter::exec_for(const Stmt& stmt) {
  Seq& source = iterate(*this, eval(*stmt.expr));
  Loop* const loop = new_loop();
  Scope* const outer = scope_;
  size_t cursor = 0;
  if (stmt.condition) {
    loop->items = &list({}).seq();
    // Items are tested as the loop gets to them, since the body may change what the condition
    // reads.
    loop->more = [&, this] {
      while (cursor < source.items.size()) {
        const Value item = source.items[cursor++];
        Scope* const inner = std::exchange(scope_, new_scope(outer));
        assign(*scope_, stmt.target, item);
        const bool passes = truthy(eval(*stmt.condition));
        scope_ = inner;
        if (!passes) continue;
        loop->items->items.push_back(item);
        return true;
      }
      return false;
    };
  } else {
    loop->items = &source;
  }
  bool completed_one = false;  // jinja2 runs `else` also when each round was broken off
  Scope* scope = nullptr;
  for (loop->index0 = 0; loop->has(loop->index0); ++loop->index0) {
    charge(1);
    if (scope == nullptr || scope->captured) scope = new_scope(outer);
    scope->variables.clear();
    scope->assign("loop", Value(loop));
    assign(*scope, stmt.target, loop->items->items[loop->index0]);
    const Flow flow = exec_scoped(stmt.body, scope);
    if (flow == Flow::kBreak) break;
    if (flow == Flow::kNext) completed_one = true;
  }
  loop->more = nullptr;  // it refers to this frame
  if (stmt.has_else && !completed_one) return exec_scoped(stmt.else_body, new_scope(outer));
  return Flow::kNext;
}

Interpreter::Flow Interpreter::exec_set_block(const Stmt& stmt) {
  std::string text;
  Scope* const scope = new_scope(scope_);
  if (const Flow flow = capture(stmt.body, scope, text); flow != Flow::kNext) return flow;
  Value value = str(std::move(text));
  if (stmt.filter) {
    Scope* const outer = std::exchange(scope_, scope);
    value = eval_filter(*stmt.filter, &value);
    scope_ = outer;
  }
  assign(*scope_, stmt.target, value);
  return Flow::kNext;
}

Interpreter::Flow Interpreter::exec_filter_block(const Stmt& stmt) {
  std::string text;
  Scope* const scope = new_scope(scope_);
  if (const Flow flow = capture(stmt.body, scope, text); flow != Flow::kNext) return flow;
  const Value value = str(std::move(text));
  Scope* const outer = std::exchange(scope_, scope);
  print(eval_filter(*stmt.filter, &value));
  scope_ = outer;
  return Flow::kNext;
}

Interpreter::Flow Interpreter::exec_with(const Stmt& stmt) {
  Scope* const scope = new_scope(scope_);
  for (const auto& [target, expr] : stmt.assignments) assign(*scope, target, eval(*expr));
  return exec_scoped(stmt.body, scope);
}

void Interpreter::exec_call_block(const Stmt& stmt) {
  const Value caller = make_macro(stmt.macro);
  print(eval_call(*stmt.expr, &caller));
}

void Interpreter::assign(Scope& scope, const Target& target, const Value& value) {
  if (target.is_tuple) return unpack(scope, target, value);
  if (target.attribute.empty()) {
    charge(scope.variables.size() / 16);
    return scope.assign(target.name, value);
  }
  const Value owner = eval_name(target.name);
  if (!owner.is(Kind::kNamespace)) fail("cannot assign attribute on non-namespace object");
  dict_set(*this, owner.name_space().attributes, str_view(target.attribute), value);
}

void Interpreter::unpack(Scope& scope, const Target& target, const Value& value) {
  if (!is_iterable(value))
    fail("cannot unpack non-iterable " + std::string(type_name(value)) + " object");
  const Seq& seq = iterate(*this, value);
  const size_t n = target.targets.size();
  if (seq.items.size() > n) fail("too many values to unpack (expected " + std::to_string(n) + ")");
  if (seq.items.size() < n)
    fail("not enough values to unpack (expected " + std::to_string(n) + ", got " +
         std::to_string(seq.items.size()) + ")");
  for (size_t i = 0; i < n; ++i) assign(scope, target.targets[i], seq.items[i]);
}

}  // namespace tq::models::jinja
