// Character classes and case, by utf8proc's tables plus the few mappings of Unicode's
// SpecialCasing.txt that turn one character into several (utf8proc maps one to one).

#include <utf8proc.h>

#include <algorithm>
#include <array>

#include "models/chat_template/text.h"

namespace tq::models::jinja {

namespace {

utf8proc_category_t category(char32_t c) {
  // kRawByte and above are bytes that are no character.
  return c > 0x10FFFF ? UTF8PROC_CATEGORY_CN : utf8proc_category(static_cast<utf8proc_int32_t>(c));
}

struct SpecialCase {
  char32_t from;
  const char32_t* upper;
  const char32_t* title;
};

// SpecialCasing.txt, unconditional. The polytonic Greek ones with iota subscript are left one to
// one.
constexpr std::array kSpecialCases = {
    SpecialCase{0x00DF, U"SS", U"Ss"},
    SpecialCase{0x0149, U"\u02BCN", U"\u02BCN"},
    SpecialCase{0x01F0, U"J\u030C", U"J\u030C"},
    SpecialCase{0x0390, U"\u0399\u0308\u0301", U"\u0399\u0308\u0301"},
    SpecialCase{0x03B0, U"\u03A5\u0308\u0301", U"\u03A5\u0308\u0301"},
    SpecialCase{0x0587, U"\u0535\u0552", U"\u0535\u0582"},
    SpecialCase{0x1E96, U"H\u0331", U"H\u0331"},
    SpecialCase{0x1E97, U"T\u0308", U"T\u0308"},
    SpecialCase{0x1E98, U"W\u030A", U"W\u030A"},
    SpecialCase{0x1E99, U"Y\u030A", U"Y\u030A"},
    SpecialCase{0x1E9A, U"A\u02BE", U"A\u02BE"},
    SpecialCase{0xFB00, U"FF", U"Ff"},
    SpecialCase{0xFB01, U"FI", U"Fi"},
    SpecialCase{0xFB02, U"FL", U"Fl"},
    SpecialCase{0xFB03, U"FFI", U"Ffi"},
    SpecialCase{0xFB04, U"FFL", U"Ffl"},
    SpecialCase{0xFB05, U"ST", U"St"},
    SpecialCase{0xFB06, U"ST", U"St"},
};

const SpecialCase* special_case(char32_t c) {
  const auto at = std::find_if(kSpecialCases.begin(), kSpecialCases.end(),
                               [c](const SpecialCase& entry) { return entry.from == c; });
  return at == kSpecialCases.end() ? nullptr : &*at;
}

void append_upper(std::string& out, char32_t c) {
  if (c < 0x80) return append_char(out, c >= 'a' && c <= 'z' ? c - 32 : c);
  if (c >= kRawByte) return append_char(out, c);
  if (const SpecialCase* special = special_case(c)) {
    out += encode(special->upper);
    return;
  }
  append_char(out, static_cast<char32_t>(utf8proc_toupper(static_cast<utf8proc_int32_t>(c))));
}

void append_title(std::string& out, char32_t c) {
  if (c < 0x80 || c >= kRawByte) return append_upper(out, c);
  if (const SpecialCase* special = special_case(c)) {
    out += encode(special->title);
    return;
  }
  append_char(out, static_cast<char32_t>(utf8proc_totitle(static_cast<utf8proc_int32_t>(c))));
}

bool is_cased(char32_t c) {
  return is_upper(c) || is_lower(c) || category(c) == UTF8PROC_CATEGORY_LT;
}

// Marks, format characters and the apostrophes do not end a word for the rule of the final sigma.
bool is_case_ignorable(char32_t c) {
  const utf8proc_category_t kind = category(c);
  return kind == UTF8PROC_CATEGORY_MN || kind == UTF8PROC_CATEGORY_ME ||
         kind == UTF8PROC_CATEGORY_CF || kind == UTF8PROC_CATEGORY_LM ||
         kind == UTF8PROC_CATEGORY_SK || c == '\'' || c == '.' || c == ':' || c == 0xB7 ||
         c == 0x2018 || c == 0x2019;
}

bool is_final_sigma(std::u32string_view chars, size_t at) {
  size_t before = at;
  while (before > 0 && is_case_ignorable(chars[before - 1])) --before;
  if (before == 0 || !is_cased(chars[before - 1])) return false;
  size_t after = at + 1;
  while (after < chars.size() && is_case_ignorable(chars[after])) ++after;
  return after == chars.size() || !is_cased(chars[after]);
}

void append_lower(std::string& out, std::u32string_view chars, size_t at) {
  const char32_t c = chars[at];
  if (c < 0x80) return append_char(out, c >= 'A' && c <= 'Z' ? c + 32 : c);
  if (c >= kRawByte) return append_char(out, c);
  if (c == 0x0130) {
    out += encode(U"i\u0307");
    return;
  }
  if (c == 0x03A3) return append_char(out, is_final_sigma(chars, at) ? 0x03C2 : 0x03C3);
  append_char(out, static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c))));
}

}  // namespace

bool is_space(char32_t c) {
  if (c < 0x80) return (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x20);
  return c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 ||
         c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

bool is_alpha(char32_t c) {
  const utf8proc_category_t kind = category(c);
  return kind >= UTF8PROC_CATEGORY_LU && kind <= UTF8PROC_CATEGORY_LO;
}

bool is_decimal(char32_t c) { return category(c) == UTF8PROC_CATEGORY_ND; }

bool is_digit(char32_t c) {
  return is_decimal(c) || c == 0xB2 || c == 0xB3 || c == 0xB9 || c == 0x2070 ||
         (c >= 0x2074 && c <= 0x2079) || (c >= 0x2080 && c <= 0x2089) ||
         (c >= 0x2460 && c <= 0x2468);
}

bool is_numeric(char32_t c) {
  const utf8proc_category_t kind = category(c);
  return kind == UTF8PROC_CATEGORY_ND || kind == UTF8PROC_CATEGORY_NL ||
         kind == UTF8PROC_CATEGORY_NO;
}

bool is_upper(char32_t c) { return category(c) == UTF8PROC_CATEGORY_LU; }

bool is_lower(char32_t c) { return category(c) == UTF8PROC_CATEGORY_LL || c == 0xAA || c == 0xBA; }

bool is_printable(char32_t c) {
  if (c == ' ') return true;
  switch (category(c)) {
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
    case UTF8PROC_CATEGORY_ZS: return false;
    default: return true;
  }
}

std::string to_upper(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size();) append_upper(out, next_char(text, at));
  return out;
}

std::string to_lower(std::string_view text) {
  const std::u32string chars = decode(text);
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < chars.size(); ++i) append_lower(out, chars, i);
  return out;
}

std::string to_title(std::string_view text) {
  const std::u32string chars = decode(text);
  std::string out;
  bool in_word = false;
  for (size_t i = 0; i < chars.size(); ++i) {
    if (in_word)
      append_lower(out, chars, i);
    else
      append_title(out, chars[i]);
    in_word = is_cased(chars[i]);
  }
  return out;
}

std::string capitalized(std::string_view text) {
  const std::u32string chars = decode(text);
  std::string out;
  for (size_t i = 0; i < chars.size(); ++i) {
    if (i == 0)
      append_title(out, chars[i]);
    else
      append_lower(out, chars, i);
  }
  return out;
}

std::string swapped_case(std::string_view text) {
  const std::u32string chars = decode(text);
  std::string out;
  for (size_t i = 0; i < chars.size(); ++i) {
    if (is_upper(chars[i]))
      append_lower(out, chars, i);
    else if (is_lower(chars[i]))
      append_upper(out, chars[i]);
    else
      append_char(out, chars[i]);
  }
  return out;
}

}  // namespace tq::models::jinja
