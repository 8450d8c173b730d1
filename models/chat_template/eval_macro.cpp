// Macros, and calls of anything that can be called.

#include <algorithm>
#include <utility>

#include "config/limits.h"
#include "models/chat_template/eval.h"

namespace tq::models::jinja {

Value Interpreter::make_macro(const MacroDef& macro) {
  Callable* made = new_callable();
  made->type = Callable::Type::kMacro;
  made->name = macro.name;
  made->macro = &macro;
  made->closure = scope_;
  for (Scope* scope = scope_; scope != nullptr && !scope->captured; scope = scope->parent)
    scope->captured = true;
  return Value(static_cast<const Callable*>(made));
}

Value Interpreter::call(const Value& callee, const Args& args) {
  if (callee.is_undefined()) fail_undefined(*this, callee);
  if (!callee.is(Kind::kCallable))
    fail("'" + std::string(type_name(callee)) + "' object is not callable");
  const Deeper deeper(*this);
  const Callable& callable = callee.callable();
  if (callable.macro != nullptr) return call_macro(callable, args);
  if (callable.native == nullptr) fail("'" + callable.name + "' object is not callable");
  charge_scan(callable.self);
  const Value result = callable.native(*this, callable.self, args);
  // A method of text marked safe gives such text.
  const bool markup = callable.self.is_str() && callable.self.str().markup;
  return markup ? as_markup(result) : result;
}

namespace {

const Value* find_named(const Args& args, std::string_view name) {
  const auto at = std::find_if(args.named.begin(), args.named.end(),
                               [name](const auto& named) { return named.first == name; });
  return at == args.named.end() ? nullptr : &at->second;
}

}  // namespace

// As jinja2's Macro.__call__: positional arguments first, then named ones, then defaults, evaluated
// inside.
void Interpreter::bind_macro(const MacroDef& macro, const Args& args, Scope& scope) {
  const size_t n_positional = args.positional.size();
  std::vector<std::string_view> used;
  std::vector<const Parameter*> absent;
  for (size_t i = 0; i < macro.parameters.size(); ++i) {
    const Parameter& parameter = macro.parameters[i];
    const Value* given = i < n_positional ? &args.positional[i] : find_named(args, parameter.name);
    if (i >= n_positional && given != nullptr) used.push_back(parameter.name);
    if (given != nullptr)
      scope.assign(parameter.name, *given);
    else
      absent.push_back(&parameter);
  }
  if (macro.uses_caller) {
    const Value* caller = find_named(args, "caller");
    used.push_back("caller");
    scope.assign("caller", caller != nullptr ? *caller : undefined("No caller defined"));
  }
  std::vector<std::pair<Value, Value>> extra;
  for (const auto& [name, value] : args.named) {
    if (std::find(used.begin(), used.end(), name) != used.end()) continue;
    if (!macro.uses_kwargs)
      fail("macro " + quoted(macro.name) + " takes no keyword argument " + quoted(name));
    extra.emplace_back(str(name), value);
  }
  if (macro.uses_kwargs) scope.assign("kwargs", dict(std::move(extra)));
  if (macro.uses_varargs) {
    const size_t first = std::min(macro.parameters.size(), n_positional);
    scope.assign("varargs", tuple({args.positional.begin() + static_cast<std::ptrdiff_t>(first),
                                   args.positional.end()}));
  } else if (n_positional > macro.parameters.size()) {
    fail("macro " + quoted(macro.name) + " takes not more than " +
         std::to_string(macro.parameters.size()) + " argument(s)");
  }
  for (const Parameter* parameter : absent)
    scope.assign(parameter->name,
                 parameter->default_value
                     ? eval(*parameter->default_value)
                     : undefined("parameter " + quoted(parameter->name) + " was not provided"));
}

Value Interpreter::call_macro(const Callable& callable, const Args& args) {
  if (macro_depth_ >= limits::kTemplateDepthMax)
    fail(Code::kTooLarge, "macros of the chat template call each other deeper than " +
                              std::to_string(limits::kTemplateDepthMax));
  ++macro_depth_;
  const int line = this->line();
  Scope* const scope = new_scope(callable.closure);
  Scope* const outer = std::exchange(scope_, scope);
  bind_macro(*callable.macro, args, *scope);
  std::string text;
  capture(callable.macro->body, scope, text);
  scope_ = outer;
  --macro_depth_;
  set_line(line);
  return str(std::move(text));
}

}  // namespace tq::models::jinja
