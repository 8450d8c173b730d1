#pragma once
// Runtime: the heap, the step budget and the current line of one render, and what operators,
// filters, tests and methods need from it. Every allocation and every loop charges the budget, so a
// hostile template ends with kTooLarge in bounded time and memory. One render's thread only.

#include <cstdint>
#include <deque>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "models/chat_template/template_error.h"
#include "models/chat_template/value.h"

namespace tq::models::jinja {

class Runtime {
 public:
  Runtime() = default;
  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;
  virtual ~Runtime() = default;

  // Budget. charge() throws kTooLarge past limits::kTemplateStepsMax.
  void charge(uint64_t n_steps);
  void charge_bytes(size_t n_bytes) { charge(1 + n_bytes / kBytesPerStep); }   // made, or decoded
  void charge_scan(size_t n_bytes) { charge(1 + n_bytes / kScannedPerStep); }  // only read
  void charge_scan(const Value& value);                                        // the bytes of a str
  void check_size(size_t n_bytes) const;  // kTooLarge past limits::kTemplateOutputBytesMax

  int line() const { return line_; }
  void set_line(int line) { line_ = line; }
  [[noreturn]] void fail(const std::string& message) const;
  [[noreturn]] void fail(Code code, const std::string& message) const;

  // Allocation. What is returned lives until the render ends.
  Value str(std::string text);
  Value str_view(std::string_view text);  // text outlives the render
  // left + right, not marked safe. Joining to the same text again and again, as templates do that
  // gather their output in a variable, costs what is added and not what is there.
  Value concat(const Str& left, std::string_view right);
  // The same text, or each text of a list or tuple, marked safe.
  Value as_markup(const Value& value);
  Value list(std::vector<Value> items) { return seq(SeqType::kList, std::move(items)); }
  Value tuple(std::vector<Value> items) { return seq(SeqType::kTuple, std::move(items)); }
  Value generator(std::vector<Value> items) { return seq(SeqType::kGenerator, std::move(items)); }
  Value seq(SeqType type, std::vector<Value> items);
  Value dict(std::vector<std::pair<Value, Value>> items);
  Value name_space(Dict attributes);
  Value undefined(std::string message);
  Value native(std::string name, NativeFn fn, const Value& self);
  Callable* new_callable();
  Loop* new_loop();
  Scope* new_scope(Scope* parent);

  // Calls a macro, method or global; throws when the value cannot be called.
  virtual Value call(const Value& callee, const Args& args) = 0;

 private:
  static constexpr size_t kBytesPerStep = 32;
  static constexpr size_t kScannedPerStep = 256;

  uint64_t steps_ = 0;
  int line_ = 0;
  std::deque<Str> strs_;
  std::deque<std::string> buffers_;  // never reallocated once a Str views it
  std::deque<Seq> seqs_;
  std::deque<Dict> dicts_;
  std::deque<Namespace> namespaces_;
  std::deque<Undefined> undefineds_;
  std::deque<Callable> callables_;
  std::deque<Loop> loops_;
  std::deque<Scope> scopes_;
};

// Variables of one block; a name not found here is looked up in the parent, then in the globals.
struct Scope {
  Scope* parent = nullptr;
  bool captured = false;  // a macro closes over it, so a loop must not reuse it
  std::vector<std::pair<std::string_view, Value>> variables;

  const Value* find(std::string_view name) const;  // this scope only
  void assign(std::string_view name, const Value& value);
};

// Binds positional and named arguments to parameter names, as Python does; a wrong, double, missing
// or surplus one throws. Result[i] is null where the caller gave nothing for names[i].
std::vector<const Value*> bind(Runtime& rt,
                               std::string_view function,
                               const Args& args,
                               std::initializer_list<std::string_view> names,
                               size_t n_required = 0);

}  // namespace tq::models::jinja
