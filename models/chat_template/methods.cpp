// Attributes of list, dict, range, namespace, loop, macro and cycler. Those of str are in
// methods_str.cpp.

#include "models/chat_template/methods.h"

#include <algorithm>
#include <array>

#include "models/chat_template/ops.h"

namespace tq::models::jinja {

namespace {

struct Method {
  std::string_view name;
  NativeFn fn;
};

template <size_t N>
NativeFn find_method(const std::array<Method, N>& methods, std::string_view name) {
  for (const Method& method : methods)
    if (method.name == name) return method.fn;
  return nullptr;
}

template <size_t N>
bool holds(const std::array<std::string_view, N>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

Value dict_get(Runtime& rt, const Value& self, const Args& args) {
  const auto given = bind(rt, "get", args, {"key", "default"}, 1);
  check_hashable(rt, *given[0]);
  if (const Value* held = dict_find(rt, self.dict(), *given[0])) return *held;
  return given[1] != nullptr ? *given[1] : Value::none();
}

Value dict_items(Runtime& rt, const Value& self, const Args& args) {
  bind(rt, "items", args, {});
  std::vector<Value> items;
  for (const auto& item : self.dict().items) items.push_back(rt.tuple({item.first, item.second}));
  return rt.seq(SeqType::kItems, std::move(items));
}

Value dict_keys(Runtime& rt, const Value& self, const Args& args) {
  bind(rt, "keys", args, {});
  std::vector<Value> keys;
  for (const auto& item : self.dict().items) keys.push_back(item.first);
  return rt.seq(SeqType::kKeys, std::move(keys));
}

Value dict_values(Runtime& rt, const Value& self, const Args& args) {
  bind(rt, "values", args, {});
  std::vector<Value> values;
  for (const auto& item : self.dict().items) values.push_back(item.second);
  return rt.seq(SeqType::kValues, std::move(values));
}

Value dict_copy(Runtime& rt, const Value& self, const Args& args) {
  bind(rt, "copy", args, {});
  return rt.dict(self.dict().items);
}

Value list_append(Runtime& rt, const Value& self, const Args& args) {
  const auto given = bind(rt, "append", args, {"item"}, 1);
  rt.charge(1);
  self.seq().items.push_back(*given[0]);
  return Value::none();
}

Value list_copy(Runtime& rt, const Value& self, const Args& args) {
  bind(rt, "copy", args, {});
  const Value made = rt.list(self.seq().items);
  made.seq().appendable = true;
  return made;
}

Value list_count(Runtime& rt, const Value& self, const Args& args) {
  const auto given = bind(rt, "count", args, {"value"}, 1);
  Int n = 0;
  for (const Value& item : self.seq().items) n += equal(rt, item, *given[0]) ? 1 : 0;
  return Value(n);
}

Value list_index(Runtime& rt, const Value& self, const Args& args) {
  const auto given = bind(rt, "index", args, {"value", "start", "stop"}, 1);
  const Int n = static_cast<Int>(self.seq().items.size());
  const auto bound = [&](const Value* value, Int absent) {
    if (value == nullptr) return absent;
    const Int i = as_index(rt, *value, "a slice index");
    return std::clamp(i < 0 ? i + n : i, Int{0}, n);
  };
  const Int stop = bound(given[2], n);
  for (Int i = bound(given[1], 0); i < stop; ++i)
    if (equal(rt, self.seq().items[static_cast<size_t>(i)], *given[0])) return Value(i);
  rt.fail(repr(rt, *given[0]) + " is not in list");
}

constexpr std::array kDictMethods = {Method{"get", dict_get}, Method{"items", dict_items},
                                     Method{"keys", dict_keys}, Method{"values", dict_values},
                                     Method{"copy", dict_copy}};
constexpr std::array<std::string_view, 5> kDictUnsafe = {"clear", "pop", "popitem", "setdefault",
                                                         "update"};
constexpr std::array kSeqMethods = {Method{"count", list_count}, Method{"index", list_index}};
constexpr std::array<std::string_view, 8> kListUnsafe = {"append", "clear", "pop",    "reverse",
                                                         "insert", "sort",  "extend", "remove"};

bool unsafe(Runtime& rt, const Value& value, std::string_view name, Value& out) {
  out = rt.undefined("access to attribute " + quoted(name) + " of '" +
                     std::string(type_name(value)) + "' object is unsafe.");
  return true;
}

bool bound_method(Runtime& rt, const Value& value, std::string_view name, NativeFn fn, Value& out) {
  if (fn == nullptr) return false;
  out = rt.native(std::string(name), fn, value);
  return true;
}

bool seq_attribute(Runtime& rt, const Value& value, std::string_view name, Value& out) {
  const Seq& seq = value.seq();
  if (seq.type == SeqType::kList) {
    if (name == "copy") return bound_method(rt, value, name, list_copy, out);
    if (name == "append" && seq.appendable) return bound_method(rt, value, name, list_append, out);
    if (holds(kListUnsafe, name)) return unsafe(rt, value, name, out);
  }
  if (seq.type == SeqType::kRange) {
    const size_t i = name == "start" ? 0 : name == "stop" ? 1 : name == "step" ? 2 : 3;
    if (i < 3) out = Value(seq.range[i]);
    if (i < 3) return true;
  }
  const bool sized =
      seq.type == SeqType::kList || seq.type == SeqType::kTuple || seq.type == SeqType::kRange;
  return sized && bound_method(rt, value, name, find_method(kSeqMethods, name), out);
}

Value loop_cycle(Runtime& rt, const Value& self, const Args& args) {
  if (args.positional.empty()) rt.fail("no items for cycling given");
  return args.positional[self.loop().index0 % args.positional.size()];
}

Value loop_changed(Runtime& rt, const Value& self, const Args& args) {
  Loop& loop = self.loop();
  bool same = loop.has_changed_value && loop.changed_value.size() == args.positional.size();
  for (size_t i = 0; same && i < args.positional.size(); ++i)
    same = equal(rt, loop.changed_value[i], args.positional[i]);
  loop.has_changed_value = true;
  loop.changed_value = args.positional;
  return Value(!same);
}

bool loop_attribute(Runtime& rt, const Value& value, std::string_view name, Value& out) {
  Loop& loop = value.loop();
  const size_t at = loop.index0;
  const auto number = [](size_t n) { return Value(static_cast<Int>(n)); };
  if (name == "index")
    out = number(at + 1);
  else if (name == "index0")
    out = number(at);
  else if (name == "first")
    out = Value(at == 0);
  else if (name == "last")
    out = Value(!loop.has(at + 1));
  else if (name == "length")
    out = number(loop.length());
  else if (name == "revindex")
    out = number(loop.length() - at);
  else if (name == "revindex0")
    out = number(loop.length() - at - 1);
  else if (name == "depth")
    out = number(1);
  else if (name == "depth0")
    out = number(0);
  else if (name == "previtem")
    out = at > 0 ? loop.items->items[at - 1] : rt.undefined("there is no previous item");
  else if (name == "nextitem")
    out = loop.has(at + 1) ? loop.items->items[at + 1] : rt.undefined("there is no next item");
  else if (name == "cycle")
    return bound_method(rt, value, name, loop_cycle, out);
  else if (name == "changed")
    return bound_method(rt, value, name, loop_changed, out);
  else
    return false;
  return true;
}

Value cycler_next(Runtime& rt, const Value& self, const Args& args) {
  bind(rt, "next", args, {});
  Seq& seq = self.seq();
  const Value value = seq.items[seq.taken];
  seq.taken = (seq.taken + 1) % seq.items.size();
  return value;
}

Value cycler_reset(Runtime& rt, const Value& self, const Args& args) {
  bind(rt, "reset", args, {});
  self.seq().taken = 0;
  return Value::none();
}

bool callable_attribute(Runtime& rt, const Value& value, std::string_view name, Value& out) {
  const Callable& callable = value.callable();
  if (callable.type == Callable::Type::kCycler) {
    const Seq& seq = callable.self.seq();
    if (name == "current")
      out = seq.items[seq.taken];
    else if (name == "next")
      return bound_method(rt, callable.self, name, cycler_next, out);
    else if (name == "reset")
      return bound_method(rt, callable.self, name, cycler_reset, out);
    else
      return false;
    return true;
  }
  if (callable.type != Callable::Type::kMacro || name != "name") return false;
  out = rt.str(callable.name);
  return true;
}

}  // namespace

bool find_attribute(Runtime& rt, const Value& value, std::string_view name, Value& out) {
  if (name.starts_with("__") && name.ends_with("__") && name.size() > 4)
    return unsafe(rt, value, name, out);
  switch (value.kind()) {
    case Kind::kStr: return bound_method(rt, value, name, find_str_method(name), out);
    case Kind::kSeq: return seq_attribute(rt, value, name, out);
    case Kind::kDict:
      if (holds(kDictUnsafe, name)) return unsafe(rt, value, name, out);
      return bound_method(rt, value, name, find_method(kDictMethods, name), out);
    case Kind::kNamespace: {
      const Value* held = dict_find(rt, value.name_space().attributes, name);
      if (held != nullptr) out = *held;
      return held != nullptr;
    }
    case Kind::kLoop: return loop_attribute(rt, value, name, out);
    case Kind::kCallable: return callable_attribute(rt, value, name, out);
    default: return false;
  }
}

}  // namespace tq::models::jinja
