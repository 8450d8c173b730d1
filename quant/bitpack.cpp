#include "quant/bitpack.h"

#include <algorithm>

#include "config/check.h"

namespace tq::quant {
namespace {

// Calls f(plane's width, plane's lowest bit in a code, plane's first byte), low bits first.
template <class F>
void for_each_plane(size_t n, int bits, F f) {
  int low_bit = 0;
  size_t start = 0;
  for (const int width : {8, 4, 2, 1}) {
    if ((bits & width) == 0) continue;
    f(width, low_bit, start);
    low_bit += width;
    start += (n * static_cast<size_t>(width) + 7) / 8;
  }
}

}  // namespace

void pack_codes(std::span<const uint8_t> codes, int bits, std::span<std::byte> packed) noexcept {
  TQ_CHECK(bits >= 1 && bits <= 8, "codes have 1 to 8 bits", bits);
  TQ_CHECK(packed.size() == packed_bytes(codes.size(), bits), "wrong size", packed.size());
  std::fill(packed.begin(), packed.end(), std::byte{0});
  for_each_plane(codes.size(), bits, [&](int width, int low_bit, size_t start) {
    const auto per_byte = static_cast<size_t>(8 / width);
    const unsigned mask = (1u << width) - 1u;
    for (size_t i = 0; i < codes.size(); ++i) {
      const unsigned part = static_cast<unsigned>(codes[i]) >> low_bit & mask;
      packed[start + i / per_byte] |=
          std::byte(part << (i % per_byte * static_cast<size_t>(width)));
    }
  });
}

void unpack_codes(std::span<const std::byte> packed, int bits, std::span<uint8_t> codes) noexcept {
  TQ_CHECK(bits >= 1 && bits <= 8, "codes have 1 to 8 bits", bits);
  TQ_CHECK(packed.size() == packed_bytes(codes.size(), bits), "wrong size", packed.size());
  std::fill(codes.begin(), codes.end(), uint8_t{0});
  for_each_plane(codes.size(), bits, [&](int width, int low_bit, size_t start) {
    const auto per_byte = static_cast<size_t>(8 / width);
    const unsigned mask = (1u << width) - 1u;
    for (size_t i = 0; i < codes.size(); ++i) {
      const auto byte = std::to_integer<unsigned>(packed[start + i / per_byte]);
      const unsigned part = byte >> (i % per_byte * static_cast<size_t>(width)) & mask;
      codes[i] = static_cast<uint8_t>(codes[i] | part << low_bit);
    }
  });
}

}  // namespace tq::quant
