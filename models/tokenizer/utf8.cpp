#include "models/tokenizer/utf8.h"

#include <utf8proc.h>

#include <algorithm>
#include <cstdint>

namespace tq::models::text {
namespace {

bool is_continuation(char byte) noexcept { return (static_cast<uint8_t>(byte) & 0xC0) == 0x80; }

// Start of the last code point of `text`, which is not empty. Looks at 4 bytes at most.
size_t last_code_point(std::string_view text) noexcept {
  size_t at = text.size() - 1;
  for (int i = 0; i < 3 && at > 0 && is_continuation(text[at]); ++i) --at;
  return at;
}

}  // namespace

CodePoint decode_utf8(std::string_view text, size_t at) noexcept {
  const auto lead = static_cast<uint8_t>(text[at]);
  if (lead < 0x80) return {lead, 1, true};
  const int n = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || text.size() - at < static_cast<size_t>(n))
    return {lead, 1, false};
  char32_t value = lead & (0xFF >> (n + 1));
  for (int i = 1; i < n; ++i) {
    if (!is_continuation(text[at + i])) return {lead, 1, false};
    value = value << 6 | (static_cast<uint8_t>(text[at + i]) & 0x3F);
  }
  constexpr char32_t kLeast[] = {0, 0, 0x80, 0x800, 0x10000};
  const bool surrogate = value >= 0xD800 && value <= 0xDFFF;
  if (value < kLeast[n] || surrogate || value > 0x10FFFF) return {lead, 1, false};
  return {value, n, true};
}

size_t valid_prefix_bytes(std::string_view text) noexcept {
  size_t at = 0;
  while (at < text.size()) {
    const CodePoint point = decode_utf8(text, at);
    if (!point.valid) break;
    at += point.n_bytes;
  }
  return at;
}

bool is_ascii(std::string_view text) noexcept {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return static_cast<uint8_t>(c) < 0x80; });
}

void append_utf8(std::string& out, char32_t value) {
  if (value < 0x80) {
    out += static_cast<char>(value);
  } else if (value < 0x800) {
    out += static_cast<char>(0xC0 | value >> 6);
    out += static_cast<char>(0x80 | (value & 0x3F));
  } else if (value < 0x10000) {
    out += static_cast<char>(0xE0 | value >> 12);
    out += static_cast<char>(0x80 | (value >> 6 & 0x3F));
    out += static_cast<char>(0x80 | (value & 0x3F));
  } else {
    out += static_cast<char>(0xF0 | value >> 18);
    out += static_cast<char>(0x80 | (value >> 12 & 0x3F));
    out += static_cast<char>(0x80 | (value >> 6 & 0x3F));
    out += static_cast<char>(0x80 | (value & 0x3F));
  }
}

bool is_space(char32_t value) noexcept {
  if (value < 0x80) return value == ' ' || (value >= '\t' && value <= '\r');
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(value))) {
    case UTF8PROC_CATEGORY_ZS:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP: return true;
    default: return value == 0x85;
  }
}

bool is_word(char32_t value) noexcept {
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(value))) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_PC: return true;
    default: return value == 0x200C || value == 0x200D;  // Join_Control
  }
}

size_t space_suffix_bytes(std::string_view text) noexcept {
  size_t end = text.size();
  while (end > 0) {
    const size_t at = last_code_point(text.substr(0, end));
    const CodePoint point = decode_utf8(text, at);
    if (!point.valid || at + point.n_bytes != end || !is_space(point.value)) break;
    end = at;
  }
  return text.size() - end;
}

size_t space_prefix_bytes(std::string_view text) noexcept {
  size_t at = 0;
  while (at < text.size()) {
    const CodePoint point = decode_utf8(text, at);
    if (!point.valid || !is_space(point.value)) break;
    at += point.n_bytes;
  }
  return at;
}

bool ends_with_word(std::string_view text) noexcept {
  if (text.empty()) return false;
  const CodePoint point = decode_utf8(text, last_code_point(text));
  return point.valid && is_word(point.value);
}

bool starts_with_word(std::string_view text) noexcept {
  if (text.empty()) return false;
  const CodePoint point = decode_utf8(text, 0);
  return point.valid && is_word(point.value);
}

}  // namespace tq::models::text
