#pragma once
// Bit packing of code rows in plain order, for rows at rest (TurboMse, TurboIp). The KV store does
// not use it: its codes lie in tiles (quant/block_layout.h). Pure; any thread.
//
// A width is cut into planes of 8, 4, 2 and 1 bits, so that no code straddles a byte: 3 bits are a
// plane of the codes' low 2 bits, then one of their high bits. Inside a plane codes fill each byte
// from bit 0 up, and each plane starts on a byte; the unused bits of its last byte are zero.

#include <cstddef>
#include <cstdint>
#include <span>

namespace tq::quant {

// Bytes of n codes of 1..8 bits.
constexpr size_t packed_bytes(size_t n, int bits) noexcept {
  size_t bytes = 0;
  for (const size_t width : {8u, 4u, 2u, 1u}) {
    if ((static_cast<size_t>(bits) & width) != 0) bytes += (n * width + 7) / 8;
  }
  return bytes;
}

static_assert(packed_bytes(128, 4) == 64 && packed_bytes(128, 3) == 48 &&
              packed_bytes(128, 2) == 32);
static_assert(packed_bytes(5, 3) == 3 && packed_bytes(0, 4) == 0 && packed_bytes(7, 8) == 7);

// packed.size() == packed_bytes(codes.size(), bits). Bits of a code above `bits` are ignored.
void pack_codes(std::span<const uint8_t> codes, int bits, std::span<std::byte> packed) noexcept;
void unpack_codes(std::span<const std::byte> packed, int bits, std::span<uint8_t> codes) noexcept;

}  // namespace tq::quant
