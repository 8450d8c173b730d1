#pragma once
// Python's str algorithms on UTF-8: code points, whitespace, case, splitting. Pure functions, any
// thread. A byte that is not part of valid UTF-8 stands for itself: it counts as one character and
// is kept.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace tq::models::jinja {

// Decodes the character at `at` (< text.size()) and moves `at` past it. An invalid byte b gives
// kRawByte + b.
inline constexpr char32_t kRawByte = 0x110000;
char32_t next_wide_char(std::string_view text, size_t& at);  // any character
inline char32_t next_char(std::string_view text, size_t& at) {
  const auto byte = static_cast<unsigned char>(text[at]);
  if (byte >= 0x80) return next_wide_char(text, at);
  ++at;
  return byte;
}
void append_char(std::string& out, char32_t c);  // the inverse of next_char

size_t count_chars(std::string_view text);
size_t byte_of_char(std::string_view text, size_t char_idx);  // text.size() when past the end
std::u32string decode(std::string_view text);
std::string encode(std::u32string_view chars);
bool is_ascii(std::string_view text);

// str.isspace() of one character: Python strips and splits at these.
bool is_space(char32_t c);
bool is_alpha(char32_t c);
bool is_decimal(char32_t c);
bool is_digit(char32_t c);
bool is_numeric(char32_t c);
bool is_upper(char32_t c);
bool is_lower(char32_t c);
bool is_printable(char32_t c);  // repr() escapes what is not
inline bool is_alnum(char32_t c) { return is_alpha(c) || is_numeric(c); }

std::string to_upper(std::string_view text);
std::string to_lower(std::string_view text);
std::string to_title(std::string_view text);      // str.title()
std::string capitalized(std::string_view text);   // str.capitalize()
std::string swapped_case(std::string_view text);  // str.swapcase()

enum class Side { kLeft, kRight, kBoth };
// Strips whitespace.
std::string_view strip(std::string_view text, Side side);
// Strips characters that occur in `set`.
std::string_view strip(std::string_view text, std::string_view set, Side side);

// First match at or after `from`, or npos. Linear in the worst case, which std::string_view::find
// is not.
size_t find_text(std::string_view text, std::string_view needle, size_t from);
size_t rfind_text(std::string_view text, std::string_view needle);

// n_max < 0: no bound. `old` may be empty, as in Python.
std::string replaced(std::string_view text,
                     std::string_view old,
                     std::string_view with,
                     int64_t n_max,
                     size_t bytes_max);
std::string html_escaped(std::string_view text);
size_t count_matches(std::string_view text, std::string_view needle);

using Pieces = std::vector<std::string_view>;
Pieces split_space(std::string_view text, int64_t n_max);
Pieces rsplit_space(std::string_view text, int64_t n_max);
Pieces split_by(std::string_view text, std::string_view separator, int64_t n_max);
Pieces rsplit_by(std::string_view text, std::string_view separator, int64_t n_max);
Pieces split_lines(std::string_view text, bool keep_ends);

}  // namespace tq::models::jinja
