// Expressions.

#include "config/limits.h"
#include "models/chat_template/eval.h"

namespace tq::models::jinja {

namespace {

// Ten levels of a tree for each level of nesting that the source may have; under a kilobyte of
// stack each.
constexpr int kEvalDepthMax = 10 * limits::kTemplateDepthMax;

}  // namespace

Interpreter::Deeper::Deeper(Interpreter& interpreter) : interpreter_(interpreter) {
  if (++interpreter_.depth_ <= kEvalDepthMax) return;
  --interpreter_.depth_;
  interpreter_.fail(Code::kTooLarge, "the chat template nests deeper than " +
                                         std::to_string(kEvalDepthMax) + " evaluations");
}

Value Interpreter::eval(const Expr& expr) {
  const Deeper deeper(*this);
  charge(1);
  set_line(expr.line);
  return eval_node(expr);
}

Value Interpreter::eval_node(const Expr& expr) {
  switch (expr.kind) {
    case ExprKind::kConst: return expr.value;
    case ExprKind::kName: return eval_name(expr.name);
    case ExprKind::kTuple:
    case ExprKind::kList: return eval_items(expr);
    case ExprKind::kDict: return eval_dict(expr);
    case ExprKind::kAnd:
    case ExprKind::kOr: return eval_logic(expr);
    case ExprKind::kNot: return Value(!truthy(eval(*expr.kids[0])));
    case ExprKind::kNegate: return negate(*this, eval(*expr.kids[0]));
    case ExprKind::kPlus: return plus(*this, eval(*expr.kids[0]));
    case ExprKind::kArithmetic: return eval_arithmetic(expr);
    case ExprKind::kConcat: return eval_concat(expr);
    case ExprKind::kCompare: return eval_compare(expr);
    case ExprKind::kCondition: return eval_condition(expr);
    case ExprKind::kItem: {
      const Value owner = eval(*expr.kids[0]);
      const Value index = eval(*expr.kids[1]);
      set_line(expr.line);
      return get_item(*this, owner, index);
    }
    case ExprKind::kSlice: return eval_slice(expr);
    case ExprKind::kAttribute: {
      const Value owner = eval(*expr.kids[0]);
      set_line(expr.line);
      return get_attribute(*this, owner, expr.name);
    }
    case ExprKind::kCall: return eval_call(expr, nullptr);
    case ExprKind::kFilter: return eval_filter(expr, nullptr);
    case ExprKind::kTest: return eval_test(expr);
  }
  fail("an expression of unknown kind");
}

const Value* Interpreter::lookup(std::string_view name) {
  for (const Scope* scope = scope_; scope != nullptr; scope = scope->parent) {
    charge(scope->variables.size() / 16);
    if (const Value* held = scope->find(name)) return held;
  }
  return nullptr;
}

Value Interpreter::eval_name(std::string_view name) {
  if (const Value* held = lookup(name)) return *held;
  Value global;
  if (find_global(*this, name, global)) return global;
  return undefined(quoted(name) + " is undefined");
}

Value Interpreter::eval_items(const Expr& expr) {
  std::vector<Value> items;
  items.reserve(expr.kids.size());
  for (const ExprPtr& kid : expr.kids) items.push_back(eval(*kid));
  if (expr.kind == ExprKind::kTuple) return tuple(std::move(items));
  const Value made = list(std::move(items));
  made.seq().appendable = true;
  return made;
}

Value Interpreter::eval_dict(const Expr& expr) {
  const Value made = dict({});
  for (size_t i = 0; i + 1 < expr.kids.size(); i += 2) {
    const Value key = eval(*expr.kids[i]);
    const Value value = eval(*expr.kids[i + 1]);
    dict_set(*this, made.dict(), key, value);
  }
  return made;
}

Value Interpreter::eval_logic(const Expr& expr) {
  const bool stop_at = expr.kind == ExprKind::kOr;
  Value value;
  for (const ExprPtr& kid : expr.kids) {
    value = eval(*kid);
    if (truthy(value) == stop_at) break;
  }
  return value;
}

Value Interpreter::eval_arithmetic(const Expr& expr) {
  Value left = eval(*expr.kids[0]);
  for (size_t i = 0; i < expr.operators.size(); ++i) {
    const Value right = eval(*expr.kids[i + 1]);
    set_line(expr.line);
    left = binary(*this, expr.operators[i], left, right);
  }
  return left;
}

Value Interpreter::eval_concat(const Expr& expr) {
  Value joined = str_view({});
  for (size_t i = 0; i < expr.kids.size(); ++i) {
    const Value piece = as_str(*this, eval(*expr.kids[i]));
    joined = i == 0 ? piece : concat(joined.str(), piece.text());
  }
  return joined.str().markup ? str_view(joined.text()) : joined;
}

Value Interpreter::eval_compare(const Expr& expr) {
  Value left = eval(*expr.kids[0]);
  for (size_t i = 0; i < expr.comparisons.size(); ++i) {
    const Value right = eval(*expr.kids[i + 1]);
    set_line(expr.line);
    if (!compare(*this, expr.comparisons[i], left, right)) return Value(false);
    left = right;
  }
  return Value(true);
}

Value Interpreter::eval_condition(const Expr& expr) {
  if (truthy(eval(*expr.kids[1]))) return eval(*expr.kids[0]);
  if (expr.kids[2]) return eval(*expr.kids[2]);
  return undefined("the inline if-expression on line " + std::to_string(expr.line) +
                   " evaluated to false and no else section was defined.");
}

Value Interpreter::eval_slice(const Expr& expr) {
  const auto bound = [this](const ExprPtr& kid) { return kid ? eval(*kid) : Value::none(); };
  const Value owner = eval(*expr.kids[0]);
  const Value start = bound(expr.kids[1]);
  const Value stop = bound(expr.kids[2]);
  const Value step = bound(expr.kids[3]);
  set_line(expr.line);
  return slice(*this, owner, start, stop, step);
}

Args Interpreter::eval_args(const CallArgs& args) {
  Args values;
  for (const ExprPtr& argument : args.positional) values.positional.push_back(eval(*argument));
  if (args.star) {
    const Seq& more = iterate(*this, eval(*args.star));
    charge(more.items.size());
    values.positional.insert(values.positional.end(), more.items.begin(), more.items.end());
  }
  for (const auto& [name, argument] : args.named) {
    for (const auto& named : values.named)
      if (named.first == name) fail("keyword argument repeated: " + name);
    values.named.emplace_back(name, eval(*argument));
  }
  if (!args.double_star) return values;
  const Value more = eval(*args.double_star);
  if (!more.is(Kind::kDict)) fail("argument after ** must be a mapping");
  for (const auto& [name, value] : more.dict().items) {
    if (!name.is_str()) fail("keywords must be strings");
    values.named.emplace_back(std::string(name.text()), value);
  }
  return values;
}

Value Interpreter::eval_call(const Expr& expr, const Value* caller) {
  const Value callee = eval(*expr.kids[0]);
  Args args = eval_args(expr.args);
  if (caller != nullptr) args.named.emplace_back("caller", *caller);
  set_line(expr.line);
  return call(callee, args);
}

// `input` is the text of a filtered block, which the innermost filter of the chain takes.
Value Interpreter::eval_filter(const Expr& expr, const Value* input) {
  const Deeper deeper(*this);
  Value self;
  if (!expr.kids[0])
    self = *input;
  else if (expr.kids[0]->kind == ExprKind::kFilter)
    self = eval_filter(*expr.kids[0], input);
  else
    self = eval(*expr.kids[0]);
  const Args args = eval_args(expr.args);
  set_line(expr.line);
  if (expr.filter == nullptr) fail("No filter named " + quoted(expr.name) + ".");
  charge_scan(self);
  return expr.filter(*this, self, args);
}

Value Interpreter::eval_test(const Expr& expr) {
  const Value self = eval(*expr.kids[0]);
  const Args args = eval_args(expr.args);
  set_line(expr.line);
  if (expr.test == nullptr) fail("No test named " + quoted(expr.name) + ".");
  charge_scan(self);
  return Value(expr.test(*this, self, args));
}

}  // namespace tq::models::jinja
