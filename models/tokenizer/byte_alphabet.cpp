#include "models/tokenizer/byte_alphabet.h"

#include <array>

#include "models/tokenizer/utf8.h"

namespace tq::models::text {
namespace {

// Printable Latin-1 stands for itself; the other bytes, in order, are U+0100, U+0101 ...
constexpr bool stands_for_itself(int byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

constexpr int kStandInsEnd = 0x100 + 68;  // 188 bytes stand for themselves

constexpr std::array<int16_t, kStandInsEnd> make_byte_of_char() {
  std::array<int16_t, kStandInsEnd> table{};
  for (auto& entry : table) entry = -1;
  int next = 0x100;
  for (int byte = 0; byte < 256; ++byte) {
    table[stands_for_itself(byte) ? byte : next++] = static_cast<int16_t>(byte);
  }
  return table;
}

constexpr auto kByteOfChar = make_byte_of_char();
static_assert(kByteOfChar[0x120] == ' ' && kByteOfChar[0x10A] == '\n' &&
              kByteOfChar[0x143] == 0xAD);

int hex_digit(char c) noexcept {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

std::optional<std::string> bytes_of_stand_ins(std::string_view token) {
  std::string bytes;
  for (size_t at = 0; at < token.size();) {
    const CodePoint point = decode_utf8(token, at);
    if (!point.valid || point.value >= kByteOfChar.size()) return std::nullopt;
    const int byte = kByteOfChar[point.value];
    if (byte < 0) return std::nullopt;
    bytes += static_cast<char>(byte);
    at += point.n_bytes;
  }
  return bytes;
}

int byte_of_fallback_token(std::string_view token) noexcept {
  if (token.size() != 6 || !token.starts_with("<0x") || token[5] != '>') return -1;
  const int high = hex_digit(token[3]);
  const int low = hex_digit(token[4]);
  return high < 0 || low < 0 ? -1 : high * 16 + low;
}

}  // namespace tq::models::text
