// Filters that give numbers.

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "models/chat_template/attribute_path.h"
#include "models/chat_template/builtins.h"
#include "models/chat_template/numbers.h"
#include "models/chat_template/ops.h"

namespace tq::models::jinja {

namespace {

Value absolute(Runtime& rt, const Value& self, const Args& args) {
  bind(rt, "abs", args, {});
  if (!self.is_number())
    rt.fail("bad operand type for abs(): '" + std::string(type_name(self)) + "'");
  if (self.is(Kind::kFloat)) return Value(std::abs(self.real()));
  return self.integer() < 0 ? negate(rt, self) : Value(self.integer());
}

// int(float); false when it is not finite.
bool truncated(Runtime& rt, double real, Int& value) {
  if (!std::isfinite(real)) return false;
  if (std::abs(real) > 1e38) rt.fail("an integer in the chat template does not fit 128 bits");
  value = static_cast<Int>(real);
  return true;
}

Value to_int(Runtime& rt, const Value& self, const Args& args) {
  const auto given = bind(rt, "int", args, {"default", "base"});
  const Value fallback = given[0] != nullptr ? *given[0] : Value(Int{0});
  const Int base = given[1] != nullptr ? as_index(rt, *given[1], "base") : Int{10};
  if (self.is_undefined()) fail_undefined(rt, self);
  Int value = 0;
  if (self.is_integral()) return Value(self.integer());
  if (self.is(Kind::kFloat)) {
    if (std::isinf(self.real())) rt.fail("cannot convert float infinity to integer");
    return truncated(rt, self.real(), value) ? Value(value) : fallback;
  }
  if (!self.is_str()) return fallback;
  rt.charge_bytes(self.text().size());
  const ParseNumber parsed = parse_python_int(self.text(), base, value);
  if (parsed == ParseNumber::kTooLarge)
    rt.fail("an integer in the chat template does not fit 128 bits");
  if (parsed == ParseNumber::kOk) return Value(value);
  double real = 0;
  if (parse_python_float(self.text(), real) && truncated(rt, real, value)) return Value(value);
  return fallback;
}

Value to_float(Runtime& rt, const Value& self, const Args& args) {
  const auto given = bind(rt, "float", args, {"default"});
  const Value fallback = given[0] != nullptr ? *given[0] : Value(0.0);
  if (self.is_undefined()) fail_undefined(rt, self);
  if (self.is_number()) return Value(as_double(self));
  double real = 0;
  if (self.is_str() && parse_python_float(self.text(), real)) return Value(real);
  return fallback;
}

// round(float, precision): printf rounds the exact decimal expansion half to even, as Python does.
double rounded(double value, int precision) {
  if (!std::isfinite(value) || precision > 300) return value;
  if (precision < 0) {
    const double unit = std::pow(10.0, -precision);
    return std::nearbyint(value / unit) * unit;
  }
  std::array<char, 700> buffer;
  std::snprintf(buffer.data(), buffer.size(), "%.*f", precision, value);
  return std::strtod(buffer.data(), nullptr);
}

// round(int, -n): half to even.
Value rounded_int(Runtime& rt, const Value& value, Int precision) {
  if (precision >= 0) return Value(value.integer());
  if (precision < -38) return Value(Int{0});
  const Value unit = binary(rt, BinaryOp::kPow, Value(Int{10}), Value(-precision));
  const Int below = binary(rt, BinaryOp::kFloorDiv, value, unit).integer();
  const Int rest = value.integer() - below * unit.integer();
  const Int half = unit.integer() / 2;
  const bool up = rest > half || (rest == half && below % 2 != 0);
  return binary(rt, BinaryOp::kMul, Value(below + (up ? 1 : 0)), unit);
}

Value round(Runtime& rt, const Value& self, const Args& args) {
  const auto given = bind(rt, "round", args, {"precision", "method"});
  const Int precision = given[0] != nullptr ? as_index(rt, *given[0], "precision") : Int{0};
  const std::string method = given[1] != nullptr ? to_string(rt, *given[1]) : "common";
  if (method != "common" && method != "ceil" && method != "floor")
    rt.fail("method must be common, ceil or floor");
  if (self.is_undefined() && method != "common") fail_undefined(rt, self);
  if (!self.is_number())
    rt.fail("type " + std::string(type_name(self)) + " doesn't define __round__ method");
  const int bounded = static_cast<int>(std::clamp(precision, Int{-400}, Int{400}));
  if (method != "common") {
    const double unit = std::pow(10.0, bounded);
    const double scaled = as_double(self) * unit;
    if (!std::isfinite(scaled)) rt.fail("cannot convert float infinity or NaN to integer");
    return Value((method == "ceil" ? std::ceil(scaled) : std::floor(scaled)) / unit);
  }
  return self.is_integral() ? rounded_int(rt, self, precision)
                            : Value(rounded(self.real(), bounded));
}

Value sum(Runtime& rt, const Value& self, const Args& args) {
  const auto given = bind(rt, "sum", args, {"attribute", "start"});
  Value total = given[1] != nullptr ? *given[1] : Value(Int{0});
  if (total.is_str()) rt.fail("sum() can't sum strings [use ''.join(seq) instead]");
  const AttributePath path(rt, given[0]);
  for (const Value& item : iterate(rt, self).items)
    total = binary(rt, BinaryOp::kAdd, total, path.get(rt, item));
  return total;
}

constexpr std::array kFilters = {
    FilterEntry{"abs", absolute}, FilterEntry{"int", to_int}, FilterEntry{"float", to_float},
    FilterEntry{"round", round},  FilterEntry{"sum", sum},
};

}  // namespace

FilterTable number_filters() { return {kFilters.data(), kFilters.size()}; }

}  // namespace tq::models::jinja
