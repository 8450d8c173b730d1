#include "models/chat_template/literals.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>

#include "models/chat_template/text.h"

namespace tq::models::jinja {

namespace {

int digit_of(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return 99;
}

bool is_digit_of(std::string_view text, size_t at, int radix) {
  return at < text.size() && digit_of(text[at]) < radix;
}

// End of digits from `at`, each but the first optionally preceded by one '_'.
size_t digits_end(std::string_view text, size_t at, int radix) {
  if (!is_digit_of(text, at, radix)) return at;
  ++at;
  while (true) {
    if (is_digit_of(text, at, radix))
      ++at;
    else if (at < text.size() && text[at] == '_' && is_digit_of(text, at + 1, radix))
      at += 2;
    else
      return at;
  }
}

int radix_of_prefix(std::string_view text) {
  if (text.size() < 2 || text[0] != '0') return 10;
  switch (text[1] | 0x20) {
    case 'x': return 16;
    case 'o': return 8;
    case 'b': return 2;
    default: return 10;
  }
}

std::string without_underscores(std::string_view text) {
  std::string plain(text);
  plain.erase(std::remove(plain.begin(), plain.end(), '_'), plain.end());
  return plain;
}

}  // namespace

size_t float_length(std::string_view text) {
  const size_t whole = digits_end(text, 0, 10);
  if (whole == 0) return 0;
  size_t end = whole;
  if (end < text.size() && text[end] == '.' && is_digit_of(text, end + 1, 10))
    end = digits_end(text, end + 1, 10);
  if (end < text.size() && (text[end] == 'e' || text[end] == 'E')) {
    size_t exponent = end + 1;
    if (exponent < text.size() && (text[exponent] == '+' || text[exponent] == '-')) ++exponent;
    if (is_digit_of(text, exponent, 10)) return digits_end(text, exponent, 10);
  }
  return end == whole ? 0 : end;
}

size_t integer_length(std::string_view text) {
  const int radix = radix_of_prefix(text);
  if (radix != 10) {
    // A '_' may follow the prefix.
    const size_t first = text.size() > 2 && text[2] == '_' ? 3 : 2;
    const size_t end = digits_end(text, first, radix);
    if (end > first) return end;
  }
  if (text.empty() || text[0] != '0') return digits_end(text, 0, 10);
  size_t end = 1;  // only zeros may follow a leading zero
  while (end < text.size()) {
    if (text[end] == '0')
      ++end;
    else if (text[end] == '_' && end + 1 < text.size() && text[end + 1] == '0')
      end += 2;
    else
      break;
  }
  return end;
}

double parse_float(std::string_view text) {
  // The lexer admits only [0-9.eE+-] here, and strtod reads those the same in any locale of ours
  // ("C").
  return std::strtod(without_underscores(text).c_str(), nullptr);
}

bool parse_integer(std::string_view text, Int& value) {
  const std::string plain = without_underscores(text);
  const int radix = radix_of_prefix(plain);
  value = 0;
  for (size_t i = radix == 10 ? 0 : 2; i < plain.size(); ++i) {
    if (__builtin_mul_overflow(value, static_cast<Int>(radix), &value)) return false;
    if (__builtin_add_overflow(value, static_cast<Int>(digit_of(plain[i])), &value)) return false;
  }
  return true;
}

namespace {

// Reads exactly n hexadecimal digits; false when they are not there.
bool read_hex(std::string_view text, size_t at, size_t n, char32_t& value) {
  if (at + n > text.size()) return false;
  value = 0;
  for (size_t i = at; i < at + n; ++i) {
    if (digit_of(text[i]) >= 16) return false;
    value = value * 16 + static_cast<char32_t>(digit_of(text[i]));
  }
  return true;
}

// \x, \u and \U: `at` is at the letter, and moves past the digits.
void append_hex_escape(std::string& out, std::string_view text, size_t& at, std::string& problem) {
  const char letter = text[at++];
  const size_t n = letter == 'x' ? 2 : letter == 'u' ? 4 : 8;
  char32_t value = 0;
  if (!read_hex(text, at, n, value)) {
    problem = std::string("truncated \\") + letter + " escape in a string";
    return;
  }
  at += n;
  if (value > 0x10FFFF) problem = "illegal Unicode character in a string";
  if (value >= 0xD800 && value <= 0xDFFF) problem = "a string escapes half of a surrogate pair";
  append_char(out, value);
}

// jinja2 escapes non-ASCII text before it decodes the escapes, so "\" before such a character keeps
// the escape's letters.
void append_escaped_non_ascii(std::string& out, std::string_view text, size_t& at) {
  const char32_t c = next_char(text, at);
  std::array<char, 12> buffer;
  const char* format = c < 0x100 ? "\\x%02x" : c < 0x10000 ? "\\u%04x" : "\\U%08x";
  std::snprintf(buffer.data(), buffer.size(), format, static_cast<unsigned>(c));
  out += buffer.data();
}

void append_octal(std::string& out, std::string_view text, size_t& at) {
  char32_t value = 0;
  for (int n = 0; n < 3 && at < text.size() && text[at] >= '0' && text[at] <= '7'; ++n)
    value = value * 8 + static_cast<char32_t>(text[at++] - '0');
  append_char(out, value);
}

}  // namespace

std::string unescape(std::string_view text, std::string& problem) {
  static constexpr std::string_view kLetters = "\\'\"abfnrtv";
  static constexpr std::string_view kMeanings = "\\'\"\a\b\f\n\r\t\v";
  std::string out;
  for (size_t at = 0; at < text.size() && problem.empty();) {
    if (text[at] != '\\') {
      out.push_back(text[at++]);
      continue;
    }
    if (++at >= text.size()) break;  // the lexer never ends a string on a lone backslash
    const char c = text[at];
    if (const size_t i = kLetters.find(c); i != std::string_view::npos) {
      out.push_back(kMeanings[i]);
      ++at;
    } else if (c == '\n') {
      ++at;  // a continued line
    } else if (c == 'x' || c == 'u' || c == 'U') {
      append_hex_escape(out, text, at, problem);
    } else if (c >= '0' && c <= '7') {
      append_octal(out, text, at);
    } else if (c == 'N') {
      problem = "\\N{name} escapes are not supported in chat templates";
    } else if (static_cast<unsigned char>(c) >= 0x80) {
      append_escaped_non_ascii(out, text, at);
    } else {
      out.push_back('\\');
      out.push_back(text[at++]);
    }
  }
  return out;
}

}  // namespace tq::models::jinja
