// Truth, equality, order and membership.

#include <algorithm>
#include <cmath>

#include "config/limits.h"
#include "models/chat_template/ops.h"
#include "models/chat_template/text.h"

namespace tq::models::jinja {

std::string_view type_name(const Value& value) {
  static constexpr std::string_view kSeqNames[] = {
      "list", "tuple", "range", "dict_keys", "dict_values", "dict_items", "generator"};
  switch (value.kind()) {
    case Kind::kUndefined: return "Undefined";
    case Kind::kNone: return "NoneType";
    case Kind::kBool: return "bool";
    case Kind::kInt: return "int";
    case Kind::kFloat: return "float";
    case Kind::kStr: return "str";
    case Kind::kSeq: return kSeqNames[static_cast<size_t>(value.seq().type)];
    case Kind::kDict: return "dict";
    case Kind::kNamespace: return "Namespace";
    case Kind::kLoop: return "LoopContext";
    case Kind::kCallable: return value.callable().macro != nullptr ? "Macro" : "function";
  }
  return "object";
}

void fail_undefined(Runtime& rt, const Value& value) {
  rt.fail(value.undefined() != nullptr ? value.undefined()->message : "a value is undefined");
}

bool truthy(const Value& value) {
  switch (value.kind()) {
    case Kind::kUndefined:
    case Kind::kNone: return false;
    case Kind::kBool: return value.boolean();
    case Kind::kInt: return value.integer() != 0;
    case Kind::kFloat: return value.real() != 0.0;
    case Kind::kStr: return !value.text().empty();
    case Kind::kSeq: return value.is_seq(SeqType::kGenerator) || !value.seq().items.empty();
    case Kind::kDict: return !value.dict().items.empty();
    default: return true;
  }
}

namespace {

// Bounds the recursion into containers that the template nested in each other.
void check_depth(Runtime& rt, int depth) {
  rt.charge(1);
  if (depth > limits::kTemplateDepthMax)
    rt.fail(Code::kTooLarge, "a value in the chat template is nested deeper than " +
                                 std::to_string(limits::kTemplateDepthMax));
}

int sign(double difference) { return difference < 0 ? -1 : difference > 0 ? 1 : 0; }

// Order of two numbers; a NaN gives 2, which is none of <, ==, >.
int order_numbers(const Value& a, const Value& b) {
  if (a.is_integral() && b.is_integral())
    return a.integer() < b.integer() ? -1 : a.integer() > b.integer() ? 1 : 0;
  const double x = as_double(a);
  const double y = as_double(b);
  if (std::isnan(x) || std::isnan(y)) return 2;
  // An int beyond 2^53 compares exactly with a float that is itself integral.
  const auto exact = [](const Value& integer, double real) {
    const Int truncated = static_cast<Int>(real);
    if (integer.integer() != truncated) return integer.integer() < truncated ? -1 : 1;
    return sign(static_cast<double>(truncated) - real);
  };
  constexpr double kExactMax = 1e38;  // inside 128 bits
  if (a.is_integral() && std::abs(y) < kExactMax) return exact(a, y);
  if (b.is_integral() && std::abs(x) < kExactMax) return -exact(b, x);
  return x < y ? -1 : x > y ? 1 : 0;
}

bool equal_at(Runtime& rt, const Value& a, const Value& b, int depth);

bool equal_seqs(Runtime& rt, const Seq& a, const Seq& b, int depth) {
  if (a.type != b.type) return false;
  if (a.type == SeqType::kGenerator || a.type == SeqType::kValues) return &a == &b;
  if (a.items.size() != b.items.size()) return false;
  if (a.type == SeqType::kKeys || a.type == SeqType::kItems)  // sets: order does not count
    return std::all_of(a.items.begin(), a.items.end(), [&](const Value& item) {
      return std::any_of(b.items.begin(), b.items.end(),
                         [&](const Value& other) { return equal_at(rt, item, other, depth); });
    });
  for (size_t i = 0; i < a.items.size(); ++i)
    if (!equal_at(rt, a.items[i], b.items[i], depth)) return false;
  return true;
}

bool equal_dicts(Runtime& rt, const Dict& a, const Dict& b, int depth) {
  if (a.items.size() != b.items.size()) return false;
  return std::all_of(a.items.begin(), a.items.end(), [&](const auto& item) {
    const Value* other = dict_find(rt, b, item.first);
    return other != nullptr && equal_at(rt, item.second, *other, depth);
  });
}

bool equal_at(Runtime& rt, const Value& a, const Value& b, int depth) {
  check_depth(rt, depth);
  if (a.is_number() && b.is_number()) return order_numbers(a, b) == 0;
  if (a.kind() != b.kind()) return false;
  switch (a.kind()) {
    case Kind::kUndefined:
    case Kind::kNone: return true;
    case Kind::kStr:
      if (a.text().size() != b.text().size()) return false;
      rt.charge_scan(a);
      return a.text() == b.text();
    case Kind::kSeq: return equal_seqs(rt, a.seq(), b.seq(), depth + 1);
    case Kind::kDict: return equal_dicts(rt, a.dict(), b.dict(), depth + 1);
    default: return a.identity() == b.identity();
  }
}

int order_at(Runtime& rt, const Value& a, const Value& b, std::string_view op, int depth) {
  check_depth(rt, depth);
  if (a.is_undefined()) fail_undefined(rt, a);
  if (b.is_undefined()) fail_undefined(rt, b);
  if (a.is_number() && b.is_number()) return order_numbers(a, b);
  if (a.is_str() && b.is_str()) {
    rt.charge_scan(std::min(a.text().size(), b.text().size()));
    const int difference = a.text().compare(b.text());  // UTF-8 sorts as code points do
    return difference < 0 ? -1 : difference > 0 ? 1 : 0;
  }
  const bool ordered = a.is(Kind::kSeq) && b.is(Kind::kSeq) && a.seq().type == b.seq().type &&
                       (a.is_seq(SeqType::kList) || a.is_seq(SeqType::kTuple));
  if (!ordered)
    rt.fail("'" + std::string(op) + "' not supported between instances of '" +
            std::string(type_name(a)) + "' and '" + std::string(type_name(b)) + "'");
  const auto& left = a.seq().items;
  const auto& right = b.seq().items;
  for (size_t i = 0; i < std::min(left.size(), right.size()); ++i)
    if (!equal_at(rt, left[i], right[i], depth + 1))
      return order_at(rt, left[i], right[i], op, depth + 1);
  return left.size() < right.size() ? -1 : left.size() > right.size() ? 1 : 0;
}

}  // namespace

double as_double(const Value& value) {
  return value.is(Kind::kFloat) ? value.real() : static_cast<double>(value.integer());
}

bool equal(Runtime& rt, const Value& a, const Value& b) { return equal_at(rt, a, b, 0); }

int order(Runtime& rt, const Value& a, const Value& b, std::string_view op) {
  return order_at(rt, a, b, op, 0);
}

bool less(Runtime& rt, const Value& a, const Value& b) { return order(rt, a, b, "<") < 0; }

bool contains(Runtime& rt, const Value& container, const Value& item) {
  switch (container.kind()) {
    case Kind::kUndefined: return false;
    case Kind::kStr:
      if (!item.is_str())
        rt.fail("'in <string>' requires string as left operand, not " +
                std::string(type_name(item)));
      rt.charge_scan(container);
      return find_text(container.text(), item.text(), 0) != std::string_view::npos;
    case Kind::kDict:
      check_hashable(rt, item);
      return dict_find(rt, container.dict(), item) != nullptr;
    case Kind::kSeq: {
      const Seq& seq = iterate(rt, container);
      return std::any_of(seq.items.begin(), seq.items.end(),
                         [&](const Value& held) { return equal(rt, held, item); });
    }
    default:
      rt.fail("argument of type '" + std::string(type_name(container)) + "' is not iterable");
  }
}

bool compare(Runtime& rt, CompareOp op, const Value& a, const Value& b) {
  switch (op) {
    case CompareOp::kEq: return equal(rt, a, b);
    case CompareOp::kNe: return !equal(rt, a, b);
    case CompareOp::kLt: return order(rt, a, b, "<") < 0;
    case CompareOp::kGt: return order(rt, a, b, ">") == 1;
    case CompareOp::kLe: return order(rt, a, b, "<=") <= 0;
    case CompareOp::kGe: {
      const int sign_of = order(rt, a, b, ">=");
      return sign_of == 0 || sign_of == 1;
    }
    case CompareOp::kIn: return contains(rt, b, a);
    case CompareOp::kNotIn: return !contains(rt, b, a);
  }
  return false;
}

}  // namespace tq::models::jinja
