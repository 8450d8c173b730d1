#include "models/chat_template/text.h"

#include <string.h>  // memmem

#include <algorithm>

namespace tq::models::jinja {

namespace {

// Length of the valid UTF-8 sequence at text[at], or 0.
size_t sequence_length(std::string_view text, size_t at) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned lead = byte(at);
  const size_t n = lead < 0x80   ? 1
                   : lead < 0xC2 ? 0
                   : lead < 0xE0 ? 2
                   : lead < 0xF0 ? 3
                   : lead < 0xF5 ? 4
                                 : 0;
  if (n == 0 || at + n > text.size()) return 0;
  for (size_t i = 1; i < n; ++i)
    if ((byte(at + i) & 0xC0) != 0x80) return 0;
  if (lead == 0xE0 && byte(at + 1) < 0xA0) return 0;  // overlong
  if (lead == 0xED && byte(at + 1) > 0x9F) return 0;  // surrogates
  if (lead == 0xF0 && byte(at + 1) < 0x90) return 0;  // overlong
  if (lead == 0xF4 && byte(at + 1) > 0x8F) return 0;  // above U+10FFFF
  return n;
}

}  // namespace

char32_t next_wide_char(std::string_view text, size_t& at) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const size_t n = sequence_length(text, at);
  const size_t start = at;
  at += n == 0 ? 1 : n;
  switch (n) {
    case 0: return kRawByte + byte(start);
    case 1: return byte(start);
    case 2: return ((byte(start) & 0x1Fu) << 6) | (byte(start + 1) & 0x3Fu);
    case 3:
      return ((byte(start) & 0x0Fu) << 12) | ((byte(start + 1) & 0x3Fu) << 6) |
             (byte(start + 2) & 0x3Fu);
    default:
      return ((byte(start) & 0x07u) << 18) | ((byte(start + 1) & 0x3Fu) << 12) |
             ((byte(start + 2) & 0x3Fu) << 6) | (byte(start + 3) & 0x3Fu);
  }
}

void append_char(std::string& out, char32_t c) {
  const auto put = [&out](char32_t byte) { out.push_back(static_cast<char>(byte)); };
  if (c >= kRawByte) return put(c - kRawByte);
  if (c < 0x80) return put(c);
  if (c < 0x800) {
    put(0xC0 | (c >> 6));
  } else if (c < 0x10000) {
    put(0xE0 | (c >> 12));
    put(0x80 | ((c >> 6) & 0x3F));
  } else {
    put(0xF0 | (c >> 18));
    put(0x80 | ((c >> 12) & 0x3F));
    put(0x80 | ((c >> 6) & 0x3F));
  }
  put(0x80 | (c & 0x3F));
}

bool is_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

size_t count_chars(std::string_view text) {
  if (is_ascii(text)) return text.size();
  size_t n = 0;
  for (size_t at = 0; at < text.size(); ++n) next_char(text, at);
  return n;
}

size_t byte_of_char(std::string_view text, size_t char_idx) {
  size_t at = 0;
  while (char_idx > 0 && at < text.size()) {
    next_char(text, at);
    --char_idx;
  }
  return at;
}

std::u32string decode(std::string_view text) {
  std::u32string chars;
  chars.reserve(text.size());
  for (size_t at = 0; at < text.size();) chars.push_back(next_char(text, at));
  return chars;
}

std::string encode(std::u32string_view chars) {
  std::string out;
  out.reserve(chars.size());
  for (char32_t c : chars) append_char(out, c);
  return out;
}

size_t find_text(std::string_view text, std::string_view needle, size_t from) {
  if (from > text.size()) return std::string_view::npos;
  if (needle.empty()) return from;
  // memmem is two-way: linear whatever the input.
  const void* hit = ::memmem(text.data() + from, text.size() - from, needle.data(), needle.size());
  if (hit == nullptr) return std::string_view::npos;
  return static_cast<size_t>(static_cast<const char*>(hit) - text.data());
}

size_t rfind_text(std::string_view text, std::string_view needle) {
  if (needle.empty()) return text.size();
  const std::string reversed_text(text.rbegin(), text.rend());
  const std::string reversed_needle(needle.rbegin(), needle.rend());
  const size_t at = find_text(reversed_text, reversed_needle, 0);
  return at == std::string_view::npos ? at : text.size() - at - needle.size();
}

size_t count_matches(std::string_view text, std::string_view needle) {
  if (needle.empty()) return count_chars(text) + 1;
  size_t n = 0;
  for (size_t at = find_text(text, needle, 0); at != std::string_view::npos;
       at = find_text(text, needle, at + needle.size()))
    ++n;
  return n;
}

namespace {

// Python puts the replacement before each character and at the end.
std::string replaced_empty(std::string_view text,
                           std::string_view with,
                           int64_t n_max,
                           size_t bytes_max) {
  std::string out;
  size_t at = 0;
  while (out.size() <= bytes_max) {
    if (n_max != 0) {
      out += with;
      --n_max;
    }
    if (at >= text.size()) break;
    const size_t start = at;
    next_char(text, at);
    out += text.substr(start, at - start);
  }
  return out;
}

}  // namespace

std::string replaced(std::string_view text,
                     std::string_view old,
                     std::string_view with,
                     int64_t n_max,
                     size_t bytes_max) {
  if (old.empty()) return replaced_empty(text, with, n_max, bytes_max);
  std::string out;
  size_t done = 0;
  while (n_max != 0 && out.size() <= bytes_max) {
    const size_t hit = find_text(text, old, done);
    if (hit == std::string_view::npos) break;
    out += text.substr(done, hit - done);
    out += with;
    done = hit + old.size();
    --n_max;
  }
  out += text.substr(done);
  return out;
}

std::string html_escaped(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (char c : text) {
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '\'': out += "&#39;"; break;
      case '"': out += "&#34;"; break;
      default: out.push_back(c);
    }
  }
  return out;
}

namespace {

template <class Strippable>
std::string_view strip_if(std::string_view text, Side side, Strippable strippable) {
  if (side != Side::kRight) {
    size_t start = 0;
    while (start < text.size()) {
      size_t next = start;
      if (!strippable(next_char(text, next))) break;
      start = next;
    }
    text.remove_prefix(start);
  }
  if (side == Side::kLeft) return text;
  while (!text.empty()) {
    size_t last = text.size() - 1;
    while (last > 0 && text.size() - last < 4 && (text[last] & '\xC0') == '\x80') --last;
    size_t next = last;
    if (!strippable(next_char(text, next)) || next != text.size()) break;
    text.remove_suffix(text.size() - last);
  }
  return text;
}

}  // namespace

std::string_view strip(std::string_view text, Side side) { return strip_if(text, side, is_space); }

std::string_view strip(std::string_view text, std::string_view set, Side side) {
  const std::u32string strippable = decode(set);
  return strip_if(text, side,
                  [&strippable](char32_t c) { return strippable.find(c) != std::u32string::npos; });
}

}  // namespace tq::models::jinja
