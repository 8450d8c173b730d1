#pragma once
// UTF-8 by hand: decoding that never fails, encoding, and the two character classes that added
// tokens need. Pure functions; any thread.

#include <cstddef>
#include <string>
#include <string_view>

namespace tq::models::text {

struct CodePoint {
  char32_t value = 0;
  int n_bytes = 1;     // at least 1, so that a loop always advances
  bool valid = false;  // false: one byte that begins no well-formed sequence
};

// The code point at `at` < text.size(). Overlong forms, surrogates and values over U+10FFFF are
// invalid.
CodePoint decode_utf8(std::string_view text, size_t at) noexcept;

// Bytes of the longest well-formed prefix.
size_t valid_prefix_bytes(std::string_view text) noexcept;

bool is_ascii(std::string_view text) noexcept;

void append_utf8(std::string& out, char32_t value);

// Unicode White_Space.
bool is_space(char32_t value) noexcept;

// A letter, mark, decimal digit or connector: \w of a Unicode regex.
bool is_word(char32_t value) noexcept;

// Bytes of white space at the end and at the start of well-formed text.
size_t space_suffix_bytes(std::string_view text) noexcept;
size_t space_prefix_bytes(std::string_view text) noexcept;

// Whether the last (first) code point is_word(); false for an empty text.
bool ends_with_word(std::string_view text) noexcept;
bool starts_with_word(std::string_view text) noexcept;

}  // namespace tq::models::text
