#include "models/chat_template/runtime.h"

#include <algorithm>
#include <utility>

#include "config/limits.h"
#include "models/chat_template/text.h"

namespace tq::models::jinja {

namespace {

// Besides its contents: about one step for 32 bytes of memory, so that the step budget bounds the
// heap too.
constexpr uint64_t kStrSteps = 2;
constexpr uint64_t kContainerSteps = 4;

constexpr size_t kGrowBytesMin = 1024;  // below it a joined text is not given room to grow

}  // namespace

void Runtime::charge(uint64_t n_steps) {
  steps_ += n_steps;
  if (steps_ > limits::kTemplateStepsMax)
    fail(Code::kTooLarge, "the chat template took more than " +
                              std::to_string(limits::kTemplateStepsMax) + " steps");
}

void Runtime::charge_scan(const Value& value) {
  charge_scan(value.is_str() ? value.text().size() : 0);
}

void Runtime::check_size(size_t n_bytes) const {
  if (n_bytes > limits::kTemplateOutputBytesMax)
    fail(Code::kTooLarge, "the chat template made more than " +
                              std::to_string(limits::kTemplateOutputBytesMax) + " bytes of text");
}

void Runtime::fail(const std::string& message) const { fail(Code::kInvalidArgument, message); }

void Runtime::fail(Code code, const std::string& message) const {
  throw TemplateError(code, line_, message);
}

Value Runtime::str(std::string text) {
  check_size(text.size());
  charge(kStrSteps);
  charge_bytes(text.size());
  Str& made = strs_.emplace_back();
  made.owned = std::move(text);
  made.text = made.owned;
  made.n_chars = count_chars(made.text);
  return Value(&made);
}

Value Runtime::str_view(std::string_view text) {
  check_size(text.size());
  charge(kStrSteps);
  charge_bytes(text.size());
  Str& made = strs_.emplace_back();
  made.text = text;
  made.n_chars = count_chars(text);
  return Value(&made);
}

Value Runtime::concat(const Str& left, std::string_view right) {
  const size_t n_bytes = left.text.size() + right.size();
  check_size(n_bytes);
  charge(kStrSteps);
  std::string* buffer = left.buffer;
  // Nobody has appended to left's buffer since, and its memory will not move.
  const bool in_place = buffer != nullptr && left.text.size() == buffer->size() &&
                        buffer->capacity() - buffer->size() >= right.size();
  if (!in_place) {
    buffer = &buffers_.emplace_back();
    const size_t n_reserved = n_bytes + (n_bytes > kGrowBytesMin ? n_bytes / 2 : 0);
    charge_bytes(n_reserved);
    buffer->reserve(n_reserved);
    buffer->append(left.text);
  }
  charge_bytes(right.size());
  buffer->append(right);
  Str& made = strs_.emplace_back();
  made.buffer = buffer;
  made.text = std::string_view(buffer->data(), n_bytes);
  // Two halves of input that is not UTF-8 may make one character.
  const bool may_fuse = !left.text.empty() && !right.empty() && (left.text.back() & 0x80) != 0 &&
                        (right.front() & 0xC0) == 0x80;
  if (may_fuse) charge_bytes(n_bytes);
  made.n_chars = may_fuse ? count_chars(made.text) : left.n_chars + count_chars(right);
  return Value(&made);
}

Value Runtime::as_markup(const Value& value) {
  if (value.is_str()) {
    charge(kStrSteps);
    Str& made = strs_.emplace_back();
    made.text = value.text();
    made.n_chars = value.str().n_chars;
    made.markup = true;
    return Value(&made);
  }
  if (!value.is_seq(SeqType::kList) && !value.is_seq(SeqType::kTuple)) return value;
  std::vector<Value> items;
  for (const Value& item : value.seq().items)
    items.push_back(item.is_str() ? as_markup(item) : item);
  return seq(value.seq().type, std::move(items));
}

Value Runtime::seq(SeqType type, std::vector<Value> items) {
  charge(kContainerSteps + items.size());
  Seq& made = seqs_.emplace_back();
  made.type = type;
  made.items = std::move(items);
  return Value(&made);
}

Value Runtime::dict(std::vector<std::pair<Value, Value>> items) {
  charge(kContainerSteps + 2 * items.size());
  Dict& made = dicts_.emplace_back();
  made.items = std::move(items);
  return Value(&made);
}

Value Runtime::name_space(Dict attributes) {
  charge(kContainerSteps + 2 * attributes.items.size());
  Namespace& made = namespaces_.emplace_back();
  made.attributes = std::move(attributes);
  return Value(&made);
}

Value Runtime::undefined(std::string message) {
  charge(kStrSteps);
  charge_bytes(message.size());
  Undefined& made = undefineds_.emplace_back();
  made.message = std::move(message);
  return Value(static_cast<const Undefined*>(&made));
}

Value Runtime::native(std::string name, NativeFn fn, const Value& self) {
  Callable* made = new_callable();
  made->name = std::move(name);
  made->native = fn;
  made->self = self;
  return Value(static_cast<const Callable*>(made));
}

Callable* Runtime::new_callable() {
  charge(2 * kContainerSteps);
  return &callables_.emplace_back();
}

Loop* Runtime::new_loop() {
  charge(2 * kContainerSteps);
  return &loops_.emplace_back();
}

Scope* Runtime::new_scope(Scope* parent) {
  charge(kContainerSteps);
  Scope& made = scopes_.emplace_back();
  made.parent = parent;
  return &made;
}

const Value* Scope::find(std::string_view name) const {
  for (const auto& [key, value] : variables)
    if (key == name) return &value;
  return nullptr;
}

void Scope::assign(std::string_view name, const Value& value) {
  for (auto& [key, held] : variables) {
    if (key != name) continue;
    held = value;
    return;
  }
  variables.emplace_back(name, value);
}

std::vector<const Value*> bind(Runtime& rt,
                               std::string_view function,
                               const Args& args,
                               std::initializer_list<std::string_view> names,
                               size_t n_required) {
  const std::string title(function);
  if (args.positional.size() > names.size())
    rt.fail(title + "() takes at most " + std::to_string(names.size()) + " arguments (" +
            std::to_string(args.positional.size()) + " given)");
  std::vector<const Value*> bound(names.size(), nullptr);
  for (size_t i = 0; i < args.positional.size(); ++i) bound[i] = &args.positional[i];
  for (const auto& [name, value] : args.named) {
    const auto at = std::find(names.begin(), names.end(), name);
    if (at == names.end()) rt.fail(title + "() got an unexpected keyword argument '" + name + "'");
    const Value*& slot = bound[static_cast<size_t>(at - names.begin())];
    if (slot != nullptr) rt.fail(title + "() got multiple values for argument '" + name + "'");
    slot = &value;
  }
  for (size_t i = 0; i < n_required; ++i)
    if (bound[i] == nullptr)
      rt.fail(title + "() misses its argument '" + std::string(names.begin()[i]) + "'");
  return bound;
}

}  // namespace tq::models::jinja
