#include "models/chat_template/format.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

#include "config/limits.h"
#include "models/chat_template/ops.h"
#include "models/chat_template/text.h"

namespace tq::models::jinja {

namespace {

struct Directive {
  bool left = false, plus = false, zero = false, space = false, alternate = false;
  size_t width = 0;
  int precision = -1;
  char type = 0;
};

size_t read_number(Runtime& rt, std::string_view format, size_t& at) {
  size_t number = 0;
  while (at < format.size() && format[at] >= '0' && format[at] <= '9') {
    number = number * 10 + static_cast<size_t>(format[at++] - '0');
    rt.check_size(number);
  }
  return number;
}

// Reads what follows '%'; `at` ends behind the type letter.
Directive read_directive(Runtime& rt, std::string_view format, size_t& at) {
  Directive directive;
  for (; at < format.size(); ++at) {
    if (format[at] == '-')
      directive.left = true;
    else if (format[at] == '+')
      directive.plus = true;
    else if (format[at] == '0')
      directive.zero = true;
    else if (format[at] == ' ')
      directive.space = true;
    else if (format[at] == '#')
      directive.alternate = true;
    else
      break;
  }
  directive.width = read_number(rt, format, at);
  if (at < format.size() && format[at] == '.') {
    ++at;
    directive.precision = static_cast<int>(read_number(rt, format, at));
  }
  if (at >= format.size()) rt.fail("incomplete format");
  directive.type = format[at++];
  return directive;
}

std::string signed_text(const Directive& directive, bool negative, std::string digits) {
  std::string sign = negative ? "-" : directive.plus ? "+" : directive.space ? " " : "";
  if (directive.zero && !directive.left && sign.size() + digits.size() < directive.width)
    digits.insert(0, directive.width - sign.size() - digits.size(), '0');
  return sign + digits;
}

std::string radix_text(Int value, unsigned radix, bool upper) {
  std::string digits;
  do {
    const int digit = static_cast<int>(value % radix);
    digits.insert(digits.begin(), (upper ? "0123456789ABCDEF" : "0123456789abcdef")[digit]);
    value /= radix;
  } while (value != 0);
  return digits;
}

std::string format_integer(Runtime& rt, const Directive& directive, const Value& value) {
  if (!value.is_number())
    rt.fail("%" + std::string(1, directive.type) + " format: a number is required, not " +
            std::string(type_name(value)));
  if (value.is(Kind::kFloat) &&
      (directive.type == 'x' || directive.type == 'X' || directive.type == 'o' ||
       !std::isfinite(value.real()) || std::abs(value.real()) > 1e38))
    rt.fail("%" + std::string(1, directive.type) + " format: an integer is required, not float");
  const Int number = value.is(Kind::kFloat) ? static_cast<Int>(value.real()) : value.integer();
  const bool negative = number < 0;
  std::string digits;
  if (directive.type == 'x' || directive.type == 'X' || directive.type == 'o') {
    digits = radix_text(negative ? -number : number, directive.type == 'o' ? 8 : 16,
                        directive.type == 'X');
    if (directive.alternate) digits.insert(0, std::string("0") + directive.type);
  } else {
    digits = int_text(number);
    if (negative) digits.erase(0, 1);
  }
  return signed_text(directive, negative, digits);
}

std::string format_real(Runtime& rt, const Directive& directive, const Value& value) {
  if (!value.is_number()) rt.fail("must be real number, not " + std::string(type_name(value)));
  const double number = as_double(value);
  const int precision = directive.precision < 0 ? 6 : directive.precision;
  if (precision > 1000) rt.fail("a format precision above 1000 is not supported");
  const char format[] = {'%', '.', '*', directive.type, 0};
  std::array<char, 1400> buffer;
  std::snprintf(buffer.data(), buffer.size(), format, precision, std::abs(number));
  return signed_text(directive, std::signbit(number), buffer.data());
}

std::string format_text(const Directive& directive, std::string text) {
  if (directive.precision < 0) return text;
  return text.substr(0, byte_of_char(text, static_cast<size_t>(directive.precision)));
}

std::string format_one(Runtime& rt, const Directive& directive, const Value& value) {
  std::string text;
  switch (directive.type) {
    case 's': text = format_text(directive, to_string(rt, value)); break;
    case 'r': text = format_text(directive, repr(rt, value)); break;
    case 'd':
    case 'i':
    case 'u':
    case 'x':
    case 'X':
    case 'o': text = format_integer(rt, directive, value); break;
    case 'e':
    case 'E':
    case 'f':
    case 'F':
    case 'g':
    case 'G': text = format_real(rt, directive, value); break;
    default: rt.fail("unsupported format character '" + std::string(1, directive.type) + "'");
  }
  const size_t n_chars = count_chars(text);
  if (n_chars >= directive.width) return text;
  text.insert(directive.left ? text.size() : 0, directive.width - n_chars, ' ');
  return text;
}

}  // namespace

std::string printf_format(Runtime& rt, std::string_view format, const Value& operand) {
  const bool is_tuple = operand.is_seq(SeqType::kTuple);
  const std::vector<Value> values = is_tuple ? operand.seq().items : std::vector<Value>{operand};
  size_t n_used = 0;
  bool used_key = false;
  std::string out;
  for (size_t at = 0; at < format.size();) {
    rt.check_size(out.size());
    if (format[at] != '%') {
      out.push_back(format[at++]);
      continue;
    }
    if (++at >= format.size()) rt.fail("incomplete format");
    if (format[at] == '%') {
      out.push_back(format[at++]);
      continue;
    }
    Value value;
    if (format[at] == '(') {
      const size_t close = format.find(')', at);
      if (close == std::string_view::npos) rt.fail("incomplete format key");
      if (!operand.is(Kind::kDict)) rt.fail("format requires a mapping");
      const std::string_view key = format.substr(at + 1, close - at - 1);
      const Value* held = dict_find(rt, operand.dict(), key);
      if (held == nullptr) rt.fail(quoted(key));
      value = *held;
      used_key = true;
      at = close + 1;
    } else {
      if (n_used >= values.size()) rt.fail("not enough arguments for format string");
      value = values[n_used++];
    }
    const Directive directive = read_directive(rt, format, at);
    out += format_one(rt, directive, value);
  }
  const bool may_leave = operand.is(Kind::kDict) || operand.is_seq(SeqType::kList) ||
                         operand.is_undefined() || operand.is_seq(SeqType::kRange);
  if (!used_key && n_used < values.size() && (is_tuple || !may_leave))
    rt.fail("not all arguments converted during string formatting");
  return out;
}

namespace {

// The value of a replacement field such as "0", "name", "a.b[c]"; "" takes the next positional one.
Value field_value(Runtime& rt, std::string_view field, const Args& args, size_t& n_auto) {
  const size_t end = std::min(field.find('.'), field.find('['));
  const std::string_view first = field.substr(0, end);
  Value value;
  const bool numbered = !first.empty() && first.find_first_not_of("0123456789") == first.npos;
  if (first.empty() || numbered) {
    size_t ignored = 0;
    const size_t index = first.empty() ? n_auto++ : read_number(rt, first, ignored);
    if (index >= args.positional.size())
      rt.fail("Replacement index " + std::to_string(index) +
              " out of range for positional args tuple");
    value = args.positional[index];
  } else {
    const auto at = std::find_if(args.named.begin(), args.named.end(),
                                 [&](const auto& named) { return named.first == first; });
    if (at == args.named.end()) rt.fail(quoted(first));
    value = at->second;
  }
  std::string_view rest = end == field.npos ? std::string_view() : field.substr(end);
  while (!rest.empty()) {
    const bool attribute = rest[0] == '.';
    const size_t stop = attribute ? std::min(rest.find('.', 1), rest.find('[', 1)) : rest.find(']');
    if (!attribute && stop == rest.npos) rt.fail("expected ']' before end of string");
    const std::string_view name = rest.substr(1, stop == rest.npos ? stop : stop - 1);
    const bool index =
        !attribute && !name.empty() && name.find_first_not_of("0123456789") == name.npos;
    size_t ignored = 0;
    value = attribute ? get_attribute(rt, value, name)
            : index   ? get_item(rt, value, Value(static_cast<Int>(read_number(rt, name, ignored))))
                      : get_item(rt, value, rt.str(std::string(name)));
    rest = stop == rest.npos ? std::string_view() : rest.substr(attribute ? stop : stop + 1);
  }
  return value;
}

// "{...}" without its braces: field, then !r or !s; a ":spec" is not supported.
void append_field(
    Runtime& rt, std::string& out, std::string_view inside, const Args& args, size_t& n_auto) {
  const size_t colon = inside.find(':');
  if (colon != inside.npos && colon + 1 < inside.size())
    rt.fail("str.format: the format specification " + quoted(inside.substr(colon + 1)) +
            " is not supported in chat templates");
  inside = inside.substr(0, colon);
  const size_t bang = inside.find('!');
  const Value value = field_value(rt, inside.substr(0, bang), args, n_auto);
  if (bang == inside.npos) return append_str(rt, out, value);
  const std::string_view conversion = inside.substr(bang + 1);
  if (conversion == "s") return append_str(rt, out, value);
  if (conversion != "r") rt.fail("Unknown conversion specifier " + quoted(conversion));
  append_repr(rt, out, value);
}

}  // namespace

std::string brace_format(Runtime& rt, std::string_view format, const Args& args) {
  std::string out;
  size_t n_auto = 0;
  for (size_t at = 0; at < format.size();) {
    const char c = format[at++];
    rt.charge(1);
    if (c != '{' && c != '}') {
      out.push_back(c);
    } else if (at < format.size() && format[at] == c) {
      out.push_back(c);
      ++at;
    } else if (c == '}') {
      rt.fail("Single '}' encountered in format string");
    } else {
      const size_t close = format.find('}', at);
      if (close == format.npos) rt.fail("expected '}' before end of string");
      append_field(rt, out, format.substr(at, close - at), args, n_auto);
      at = close + 1;
    }
    rt.check_size(out.size());
  }
  return out;
}

}  // namespace tq::models::jinja
