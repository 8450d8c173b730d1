#include "models/chat_template/numbers.h"

#include <charconv>
#include <cstdlib>
#include <limits>
#include <string>

#include "models/chat_template/text.h"

namespace tq::models::jinja {

namespace {

int digit_of(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const char lower = static_cast<char>(c | 0x20);
  return lower >= 'a' && lower <= 'z' ? lower - 'a' + 10 : 99;
}

Int prefix_base(std::string_view text) {
  if (text.size() < 2 || text[0] != '0') return 0;
  switch (text[1] | 0x20) {
    case 'x': return 16;
    case 'o': return 8;
    case 'b': return 2;
    default: return 0;
  }
}

// Removes '_' that stand between digits; false when one stands elsewhere.
bool drop_underscores(std::string_view text, std::string& plain) {
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '_') {
      plain.push_back(text[i]);
      continue;
    }
    if (i == 0 || i + 1 == text.size() || digit_of(text[i - 1]) > 35 || digit_of(text[i + 1]) > 35)
      return false;
  }
  return true;
}

}  // namespace

ParseNumber parse_python_int(std::string_view text, Int base, Int& value) {
  text = strip(text, Side::kBoth);
  const bool negative = !text.empty() && text[0] == '-';
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) text.remove_prefix(1);
  const Int prefixed = prefix_base(text);
  if (prefixed != 0 && (base == 0 || base == prefixed)) {
    base = prefixed;
    text.remove_prefix(2);
    if (!text.empty() && text[0] == '_') text.remove_prefix(1);
  }
  const bool zero_led = base == 0 && text.size() > 1 && text[0] == '0';
  if (base == 0) base = 10;
  std::string digits;
  if (base < 2 || base > 36 || text.empty() || !drop_underscores(text, digits))
    return ParseNumber::kMalformed;
  bool too_large = false;
  Int total = 0;
  for (char c : digits) {
    if (digit_of(c) >= base) return ParseNumber::kMalformed;
    too_large |= __builtin_mul_overflow(total, base, &total) ||
                 __builtin_add_overflow(total, static_cast<Int>(digit_of(c)), &total);
  }
  if (too_large) return ParseNumber::kTooLarge;
  if (zero_led && total != 0) return ParseNumber::kMalformed;
  value = negative ? -total : total;
  return ParseNumber::kOk;
}

bool parse_python_float(std::string_view text, double& value) {
  text = strip(text, Side::kBoth);
  std::string plain;
  if (text.empty() || !drop_underscores(text, plain)) return false;
  const bool negative = plain[0] == '-';
  if (plain[0] == '-' || plain[0] == '+') plain.erase(0, 1);
  const std::string word = to_lower(plain);
  if (word == "inf" || word == "infinity") {
    value = std::numeric_limits<double>::infinity();
  } else if (word == "nan") {
    value = std::numeric_limits<double>::quiet_NaN();
  } else {
    const bool numeric = !plain.empty() && (plain[0] == '.' || digit_of(plain[0]) < 10);
    const auto end = std::from_chars(plain.data(), plain.data() + plain.size(), value);
    if (!numeric || end.ptr != plain.data() + plain.size()) return false;
    // from_chars leaves the value alone when it is out of range; strtod gives Python's 0 or inf.
    if (end.ec == std::errc::result_out_of_range) value = std::strtod(plain.c_str(), nullptr);
  }
  if (negative) value = -value;
  return true;
}

}  // namespace tq::models::jinja
