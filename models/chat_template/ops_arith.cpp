// + - * / // % ** and the signs, with Python's rules and an error where 128 bits do not hold the
// result.

#include <cmath>

#include "config/limits.h"
#include "models/chat_template/format.h"
#include "models/chat_template/ops.h"
#include "models/chat_template/text.h"

namespace tq::models::jinja {

namespace {

std::string_view symbol(BinaryOp op) {
  static constexpr std::string_view kSymbols[] = {"+", "-", "*", "/", "//", "%", "** or pow()"};
  return kSymbols[static_cast<size_t>(op)];
}

[[noreturn]] void fail_types(Runtime& rt, BinaryOp op, const Value& a, const Value& b) {
  rt.fail("unsupported operand type(s) for " + std::string(symbol(op)) + ": '" +
          std::string(type_name(a)) + "' and '" + std::string(type_name(b)) + "'");
}

[[noreturn]] void fail_overflow(Runtime& rt) {
  rt.fail("an integer in the chat template does not fit 128 bits");
}

[[noreturn]] void fail_zero(Runtime& rt) { rt.fail("division by zero"); }

Int floor_div(Int a, Int b) {
  const Int quotient = a / b;
  return (a % b != 0 && ((a < 0) != (b < 0))) ? quotient - 1 : quotient;
}

double float_mod(double a, double b) {
  const double rest = std::fmod(a, b);
  if (rest == 0.0) return std::copysign(0.0, b);
  return (b < 0) != (rest < 0) ? rest + b : rest;
}

// CPython's float_divmod: the quotient is corrected when the subtraction rounded.
double float_floor_div(double a, double b) {
  double rest = std::fmod(a, b);
  double quotient = (a - rest) / b;
  if (rest != 0.0 && (b < 0) != (rest < 0)) quotient -= 1.0;
  if (quotient == 0.0) return std::copysign(0.0, a / b);
  const double floored = std::floor(quotient);
  return quotient - floored > 0.5 ? floored + 1.0 : floored;
}

Value int_power(Runtime& rt, Int base, Int exponent) {
  if (exponent < 0) {
    if (base == 0) rt.fail("0.0 cannot be raised to a negative power");
    return Value(std::pow(static_cast<double>(base), static_cast<double>(exponent)));
  }
  if (base == 0 || base == 1) return Value(exponent == 0 ? Int{1} : base);
  if (base == -1) return Value(exponent % 2 == 0 ? Int{1} : Int{-1});
  Int result = 1;
  for (; exponent > 0; --exponent)  // |base| >= 2: at most 127 rounds before overflow
    if (__builtin_mul_overflow(result, base, &result)) fail_overflow(rt);
  return Value(result);
}

Value int_binary(Runtime& rt, BinaryOp op, Int a, Int b) {
  Int result = 0;
  switch (op) {
    case BinaryOp::kAdd:
      if (__builtin_add_overflow(a, b, &result)) fail_overflow(rt);
      return Value(result);
    case BinaryOp::kSub:
      if (__builtin_sub_overflow(a, b, &result)) fail_overflow(rt);
      return Value(result);
    case BinaryOp::kMul:
      if (__builtin_mul_overflow(a, b, &result)) fail_overflow(rt);
      return Value(result);
    case BinaryOp::kPow: return int_power(rt, a, b);
    default: break;
  }
  if (b == 0) fail_zero(rt);
  if (op == BinaryOp::kDiv) return Value(static_cast<double>(a) / static_cast<double>(b));
  if (b == -1)  // the most negative integer has no positive twin
    return op == BinaryOp::kMod ? Value(Int{0}) : int_binary(rt, BinaryOp::kSub, 0, a);
  if (op == BinaryOp::kFloorDiv) return Value(floor_div(a, b));
  const Int rest = a % b;
  return Value(rest != 0 && ((rest < 0) != (b < 0)) ? rest + b : rest);
}

Value float_power(Runtime& rt, double a, double b) {
  if (a == 0.0 && b < 0) rt.fail("0.0 cannot be raised to a negative power");
  if (a < 0 && std::isfinite(a) && std::isfinite(b) && b != std::floor(b))
    rt.fail("complex numbers are not supported in chat templates");
  const double result = std::pow(a, b);
  if (std::isinf(result) && std::isfinite(a) && std::isfinite(b))
    rt.fail("a power is too large for a float");
  return Value(result);
}

Value float_binary(Runtime& rt, BinaryOp op, double a, double b) {
  switch (op) {
    case BinaryOp::kAdd: return Value(a + b);
    case BinaryOp::kSub: return Value(a - b);
    case BinaryOp::kMul: return Value(a * b);
    case BinaryOp::kPow: return float_power(rt, a, b);
    default: break;
  }
  if (b == 0.0) fail_zero(rt);
  if (op == BinaryOp::kDiv) return Value(a / b);
  return Value(op == BinaryOp::kMod ? float_mod(a, b) : float_floor_div(a, b));
}

bool is_list_or_tuple(const Value& value) {
  return value.is_seq(SeqType::kList) || value.is_seq(SeqType::kTuple);
}

Value concatenate(Runtime& rt, const Value& a, const Value& b) {
  if (a.is_str() && b.is_str() && a.str().markup != b.str().markup) {
    const auto escaped = [&rt](const Value& text) {
      return text.str().markup ? text : rt.as_markup(rt.str(html_escaped(text.text())));
    };
    return concatenate(rt, escaped(a), escaped(b));
  }
  if (a.is_str() && b.is_str()) {
    const Value made = rt.concat(a.str(), b.text());
    return a.str().markup ? rt.as_markup(made) : made;
  }
  if (is_list_or_tuple(a) && b.is(Kind::kSeq) && a.seq().type == b.seq().type) {
    rt.charge(a.seq().items.size() + b.seq().items.size());
    std::vector<Value> items = a.seq().items;
    items.insert(items.end(), b.seq().items.begin(), b.seq().items.end());
    const Value joined = rt.seq(a.seq().type, std::move(items));
    joined.seq().appendable = a.is_seq(SeqType::kList);
    return joined;
  }
  fail_types(rt, BinaryOp::kAdd, a, b);
}

Value repeat(Runtime& rt, const Value& value, Int n) {
  if (n < 0) n = 0;
  const size_t unit = value.is_str() ? value.text().size() : value.seq().items.size();
  if (unit == 0) n = 0;
  if (n > static_cast<Int>(limits::kTemplateOutputBytesMax))
    rt.check_size(limits::kTemplateOutputBytesMax + 1);
  const size_t n_units = static_cast<size_t>(n);
  rt.check_size(unit * n_units);  // both factors are below 2^32: no overflow
  if (value.is_str()) {
    std::string text;
    text.reserve(unit * n_units);
    for (size_t i = 0; i < n_units; ++i) text += value.text();
    const Value made = rt.str(std::move(text));
    return value.str().markup ? rt.as_markup(made) : made;
  }
  rt.charge(unit * n_units);
  std::vector<Value> items;
  items.reserve(unit * n_units);
  for (size_t i = 0; i < n_units; ++i)
    items.insert(items.end(), value.seq().items.begin(), value.seq().items.end());
  return rt.seq(value.seq().type, std::move(items));
}

}  // namespace

Value binary(Runtime& rt, BinaryOp op, const Value& a, const Value& b) {
  if (op == BinaryOp::kMod && a.is_str() && a.str().markup)
    rt.fail("% on text marked safe is not supported in chat templates");
  if (op == BinaryOp::kMod && a.is_str()) return rt.str(printf_format(rt, a.text(), b));
  if (a.is_undefined()) fail_undefined(rt, a);
  if (b.is_undefined()) fail_undefined(rt, b);
  if (a.is_integral() && b.is_integral()) return int_binary(rt, op, a.integer(), b.integer());
  if (a.is_number() && b.is_number()) return float_binary(rt, op, as_double(a), as_double(b));
  if (op == BinaryOp::kAdd) return concatenate(rt, a, b);
  if (op == BinaryOp::kMul) {
    if ((a.is_str() || is_list_or_tuple(a)) && b.is_integral()) return repeat(rt, a, b.integer());
    if ((b.is_str() || is_list_or_tuple(b)) && a.is_integral()) return repeat(rt, b, a.integer());
  }
  fail_types(rt, op, a, b);
}

Value negate(Runtime& rt, const Value& value) {
  if (value.is_undefined()) fail_undefined(rt, value);
  if (value.is(Kind::kFloat)) return Value(-value.real());
  if (!value.is_integral())
    rt.fail("bad operand type for unary -: '" + std::string(type_name(value)) + "'");
  return int_binary(rt, BinaryOp::kSub, 0, value.integer());
}

Value plus(Runtime& rt, const Value& value) {
  if (value.is_undefined()) fail_undefined(rt, value);
  if (value.is(Kind::kFloat)) return value;
  if (!value.is_integral())
    rt.fail("bad operand type for unary +: '" + std::string(type_name(value)) + "'");
  return Value(value.integer());
}

}  // namespace tq::models::jinja
