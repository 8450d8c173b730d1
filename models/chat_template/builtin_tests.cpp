// The tests behind `is`.

#include <array>

#include "models/chat_template/builtins.h"
#include "models/chat_template/methods.h"
#include "models/chat_template/ops.h"

namespace tq::models::jinja {

namespace {

const Value& only_arg(Runtime& rt, const Args& args) {
  return *bind(rt, "test", args, {"other"}, 1)[0];
}

Value modulo(Runtime& rt, const Value& value, const Value& by) {
  if (value.is_str()) rt.fail("not all arguments converted during string formatting");
  return binary(rt, BinaryOp::kMod, value, by);
}

bool odd(Runtime& rt, const Value& self, const Args& args) {
  bind(rt, "odd", args, {});
  return equal(rt, modulo(rt, self, Value(Int{2})), Value(Int{1}));
}
bool even(Runtime& rt, const Value& self, const Args& args) {
  bind(rt, "even", args, {});
  return equal(rt, modulo(rt, self, Value(Int{2})), Value(Int{0}));
}
bool divisibleby(Runtime& rt, const Value& self, const Args& args) {
  return equal(rt, modulo(rt, self, only_arg(rt, args)), Value(Int{0}));
}

template <bool (*Holds)(const Value&)>
bool property(Runtime& rt, const Value& self, const Args& args) {
  bind(rt, "test", args, {});
  return Holds(self);
}

bool defined(const Value& value) { return !value.is_undefined(); }
bool undefined(const Value& value) { return value.is_undefined(); }
bool none(const Value& value) { return value.is_none(); }
bool boolean(const Value& value) { return value.is(Kind::kBool); }
bool is_true(const Value& value) { return value.is(Kind::kBool) && value.boolean(); }
bool is_false(const Value& value) { return value.is(Kind::kBool) && !value.boolean(); }
bool integer(const Value& value) { return value.is(Kind::kInt); }
bool is_float(const Value& value) { return value.is(Kind::kFloat); }
bool number(const Value& value) { return value.is_number(); }
bool string(const Value& value) { return value.is_str(); }
bool mapping(const Value& value) { return value.is(Kind::kDict); }
bool escaped(const Value& value) { return value.is_str() && value.str().markup; }

// What has len() and [] in Python: jinja2's Undefined is among them.
bool sequence(const Value& value) {
  return value.is_undefined() || value.is_str() || value.is(Kind::kDict) ||
         value.is_seq(SeqType::kList) || value.is_seq(SeqType::kTuple) ||
         value.is_seq(SeqType::kRange);
}

// Undefined and loop have a __call__ too, which raises.
bool callable(const Value& value) {
  if (value.is_undefined() || value.is(Kind::kLoop)) return true;
  return value.is(Kind::kCallable) && value.callable().type != Callable::Type::kCycler;
}

template <bool Upper>
bool cased(Runtime& rt, const Value& self, const Args& args) {
  bind(rt, "test", args, {});
  const NativeFn method = find_str_method(Upper ? "isupper" : "islower");
  return method(rt, as_str(rt, self), Args{}).boolean();
}

template <CompareOp Op>
bool comparison(Runtime& rt, const Value& self, const Args& args) {
  return compare(rt, Op, self, only_arg(rt, args));
}

bool sameas(Runtime& rt, const Value& self, const Args& args) {
  const Value& other = only_arg(rt, args);
  if (self.kind() != other.kind()) return false;
  switch (self.kind()) {
    case Kind::kNone: return true;
    case Kind::kBool:
    case Kind::kInt:
    case Kind::kFloat:
    case Kind::kStr: return equal(rt, self, other);
    default: return self.identity() == other.identity();
  }
}

bool is_filter(Runtime& rt, const Value& self, const Args& args) {
  bind(rt, "filter", args, {});
  return self.is_str() && find_filter(self.text()) != nullptr;
}

bool is_test(Runtime& rt, const Value& self, const Args& args) {
  bind(rt, "test", args, {});
  return self.is_str() && find_test(self.text()) != nullptr;
}

struct TestEntry {
  std::string_view name;
  TestFn fn;
};

constexpr std::array kTests = {
    TestEntry{"odd", odd},
    TestEntry{"even", even},
    TestEntry{"divisibleby", divisibleby},
    TestEntry{"defined", property<defined>},
    TestEntry{"undefined", property<undefined>},
    TestEntry{"none", property<none>},
    TestEntry{"boolean", property<boolean>},
    TestEntry{"true", property<is_true>},
    TestEntry{"false", property<is_false>},
    TestEntry{"integer", property<integer>},
    TestEntry{"float", property<is_float>},
    TestEntry{"number", property<number>},
    TestEntry{"string", property<string>},
    TestEntry{"mapping", property<mapping>},
    TestEntry{"sequence", property<sequence>},
    TestEntry{"iterable", property<is_iterable>},
    TestEntry{"callable", property<callable>},
    TestEntry{"escaped", property<escaped>},
    TestEntry{"lower", cased<false>},
    TestEntry{"upper", cased<true>},
    TestEntry{"sameas", sameas},
    TestEntry{"filter", is_filter},
    TestEntry{"test", is_test},
    TestEntry{"in", comparison<CompareOp::kIn>},
    TestEntry{"==", comparison<CompareOp::kEq>},
    TestEntry{"eq", comparison<CompareOp::kEq>},
    TestEntry{"equalto", comparison<CompareOp::kEq>},
    TestEntry{"!=", comparison<CompareOp::kNe>},
    TestEntry{"ne", comparison<CompareOp::kNe>},
    TestEntry{">", comparison<CompareOp::kGt>},
    TestEntry{"gt", comparison<CompareOp::kGt>},
    TestEntry{"greaterthan", comparison<CompareOp::kGt>},
    TestEntry{">=", comparison<CompareOp::kGe>},
    TestEntry{"ge", comparison<CompareOp::kGe>},
    TestEntry{"<", comparison<CompareOp::kLt>},
    TestEntry{"lt", comparison<CompareOp::kLt>},
    TestEntry{"lessthan", comparison<CompareOp::kLt>},
    TestEntry{"<=", comparison<CompareOp::kLe>},
    TestEntry{"le", comparison<CompareOp::kLe>},
};

}  // namespace

TestFn find_test(std::string_view name) {
  for (const TestEntry& entry : kTests)
    if (entry.name == name) return entry.fn;
  return nullptr;
}

}  // namespace tq::models::jinja
