#pragma once
// The parsed template: expressions, statements, and the Program that owns them. Built once by
// Parser, then immutable: renders on any number of threads read it at once. Knows nothing about
// evaluation.

#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "models/chat_template/builtins.h"
#include "models/chat_template/ops.h"
#include "models/chat_template/value.h"

namespace tq::models::jinja {

struct Expr;
using ExprPtr = std::unique_ptr<const Expr>;

struct CallArgs {
  std::vector<ExprPtr> positional;
  std::vector<std::pair<std::string, ExprPtr>> named;
  ExprPtr star;         // *args, may be null
  ExprPtr double_star;  // **kwargs, may be null
};

enum class ExprKind {
  kConst,       // value
  kName,        // name
  kTuple,       // kids
  kList,        // kids
  kDict,        // kids: key, value, key, value, ...
  kAnd,         // kids, evaluated until one is false
  kOr,          // kids, evaluated until one is true
  kNot,         // kids[0]
  kNegate,      // kids[0]
  kPlus,        // kids[0]
  kArithmetic,  // kids[0] op[0] kids[1] op[1] kids[2] ..., from the left
  kConcat,      // kids, joined as str
  kCompare,     // kids[0] comparison[0] kids[1] ..., chained as in Python
  kCondition,   // kids[0] if kids[1] else kids[2]; kids[2] may be null
  kItem,        // kids[0] [ kids[1] ]
  kSlice,       // kids[0] [ kids[1] : kids[2] : kids[3] ], each bound may be null
  kAttribute,   // kids[0] . name
  kCall,        // kids[0] ( args )
  kFilter,      // kids[0] | name ( args ); kids[0] is null where a block is filtered
  kTest         // kids[0] is name ( args )
};

struct Expr {
  ExprKind kind = ExprKind::kConst;
  int line = 0;
  int depth =
      1;  // of the tree below, bounded by the parser so that walks cannot overflow the stack
  Value value;
  std::string name;
  std::vector<ExprPtr> kids;
  std::vector<BinaryOp> operators;
  std::vector<CompareOp> comparisons;
  CallArgs args;
  FilterFn filter = nullptr;  // null: unknown name inside a conditional, an error only when reached
  TestFn test = nullptr;      // likewise
};

struct Stmt;
using StmtPtr = std::unique_ptr<const Stmt>;
using Body = std::vector<StmtPtr>;

// What `set` and `for` assign to: a name, namespace.attribute, or a tuple of targets.
struct Target {
  std::string name;
  std::string attribute;        // not empty: an attribute of the namespace `name`
  std::vector<Target> targets;  // not empty: unpack into these
  bool is_tuple = false;
};

struct Parameter {
  std::string name;
  ExprPtr default_value;  // null: undefined when not given
};

struct MacroDef {
  std::string name;  // empty for the body of a call block
  int line = 0;
  std::vector<Parameter> parameters;
  Body body;
  bool uses_caller = false;
  bool uses_varargs = false;
  bool uses_kwargs = false;
};

struct Branch {
  ExprPtr condition;
  Body body;
};

enum class StmtKind {
  kText,         // text
  kPrint,        // expr
  kIf,           // branches, else_body
  kFor,          // target, expr, condition (may be null), body, else_body
  kSet,          // target, expr
  kSetBlock,     // target, filter (may be null), body
  kWith,         // assignments, body
  kMacro,        // macro
  kCallBlock,    // expr is the call, macro its body
  kFilterBlock,  // filter, body
  kScope,        // body, in a scope of its own (generation)
  kBreak,
  kContinue
};

struct Stmt {
  StmtKind kind = StmtKind::kText;
  int line = 0;
  std::string text;
  ExprPtr expr;
  ExprPtr condition;
  ExprPtr filter;
  Target target;
  std::vector<std::pair<Target, ExprPtr>> assignments;
  std::vector<Branch> branches;
  Body body;
  Body else_body;
  bool has_else = false;
  MacroDef macro;
};

struct Program {
  Body body;
  std::deque<Str> literals;  // what string constants point to; a deque, so that they never move
};

}  // namespace tq::models::jinja
