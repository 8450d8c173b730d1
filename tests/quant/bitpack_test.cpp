#include "quant/bitpack.h"

#include <catch2/catch.hpp>
#include <vector>

#include "quant/random.h"

using tq::quant::pack_codes;
using tq::quant::packed_bytes;
using tq::quant::Rng;
using tq::quant::RngStream;
using tq::quant::unpack_codes;

TEST_CASE("packed codes come back for every width and length", "[bitpack]") {
  constexpr uint64_t kSeed = 5150;
  INFO("seed " << kSeed);
  Rng rng(kSeed, RngStream::kData);
  for (int bits = 1; bits <= 8; ++bits) {
    for (size_t n = 0; n <= 70; ++n) {
      CAPTURE(bits, n);
      std::vector<uint8_t> codes(n);
      for (uint8_t& code : codes) code = static_cast<uint8_t>(rng.below(1 << bits));
      const size_t bytes = packed_bytes(n, bits);
      REQUIRE(bytes >= (n * static_cast<size_t>(bits) + 7) / 8);
      REQUIRE(bytes <=
              n * static_cast<size_t>(bits) / 8 + 3);  // a byte a plane, three planes at most
      std::vector<std::byte> memory(bytes + 2, std::byte{0x5a});
      const auto packed = std::span(memory).subspan(1, bytes);
      pack_codes(codes, bits, packed);
      std::vector<uint8_t> back(n, 0xff);
      unpack_codes(packed, bits, back);
      REQUIRE(back == codes);
      REQUIRE(memory.front() == std::byte{0x5a});
      REQUIRE(memory.back() == std::byte{0x5a});
    }
  }
}

TEST_CASE("planes lie as documented", "[bitpack]") {
  // 3 bits: low two bits of four codes in byte 0, then the high bits.
  const std::vector<uint8_t> codes = {0b101, 0b010, 0b111, 0b000, 0b100};
  std::vector<std::byte> packed(packed_bytes(5, 3));
  REQUIRE(packed.size() == 3);
  pack_codes(codes, 3, packed);
  CHECK(packed[0] == std::byte{0b00'11'10'01});
  CHECK(packed[1] == std::byte{0b00});
  CHECK(packed[2] == std::byte{0b10101});
  // 4 bits: the first code in the low nibble. Bits above the width are dropped.
  std::vector<std::byte> nibbles(1);
  pack_codes(std::vector<uint8_t>{0xf2, 0x0b}, 4, nibbles);
  CHECK(nibbles[0] == std::byte{0xb2});
}
