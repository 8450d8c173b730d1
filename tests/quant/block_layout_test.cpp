#include "quant/block_layout.h"

#include <catch2/catch.hpp>
#include <cstring>
#include <set>
#include <vector>

#include "quant/random.h"

using tq::KvFormat;
using tq::KvFormats;
using tq::quant::BlockLayout;
using tq::quant::entry_bits;
using tq::quant::Rng;
using tq::quant::RngStream;
using tq::quant::TileShape;

namespace {

constexpr uint64_t kSeed = 31337;
constexpr int kHeadDims[] = {64, 80, 96, 128, 256};
constexpr KvFormat kFormats[] = {KvFormat::kBf16, KvFormat::kTq8, KvFormat::kTq4, KvFormat::kTq3,
                                 KvFormat::kTq2};

struct Range {
  size_t begin, end;
  bool operator<(const Range& other) const { return begin < other.begin; }
};

// Ranges must not overlap and must cover [0, total) without a gap.
void require_exact_cover(const std::set<Range>& ranges, size_t total) {
  size_t position = 0;
  for (const Range& range : ranges) {
    REQUIRE(range.begin == position);
    position = range.end;
  }
  REQUIRE(position == total);
}

}  // namespace

TEST_CASE("every entry of a tile comes back and touches nothing else", "[block_layout]") {
  INFO("seed " << kSeed);
  Rng rng(kSeed, RngStream::kData);
  for (const int head_dim : kHeadDims) {
    for (const KvFormat format : kFormats) {
      const int bits = entry_bits(format);
      for (const TileShape tile : {TileShape{32, head_dim, bits}, TileShape{head_dim, 32, bits}}) {
        CAPTURE(tile.lanes, tile.depth, tile.bits);
        constexpr size_t kGuard = 64;
        std::vector<std::byte> memory(tile.bytes() + 2 * kGuard, std::byte{0xa5});
        std::byte* const start = memory.data() + kGuard;
        std::vector<uint32_t> expected;
        for (int lane = 0; lane < tile.lanes; ++lane) {
          for (int e = 0; e < tile.depth; ++e) {
            expected.push_back(static_cast<uint32_t>(rng.below(1 << bits)));
            tile.store(start, lane, e, expected.back());
          }
        }
        size_t i = 0;
        for (int lane = 0; lane < tile.lanes; ++lane) {
          for (int e = 0; e < tile.depth; ++e) {
            REQUIRE(tile.load(start, lane, e) == expected[i++]);
          }
        }
        for (size_t guard = 0; guard < kGuard; ++guard) {
          REQUIRE(memory[guard] == std::byte{0xa5});
          REQUIRE(memory[kGuard + tile.bytes() + guard] == std::byte{0xa5});
        }
      }
    }
  }
}

TEST_CASE("a store changes exactly the bits of its entry", "[block_layout]") {
  for (const KvFormat format : kFormats) {
    const int bits = entry_bits(format);
    const TileShape tile{32, 80, bits};
    const uint32_t ones = (1u << bits) - 1u;
    std::vector<std::byte> memory(tile.bytes(), std::byte{0});
    size_t n_bits = 0;
    for (int lane = 0; lane < tile.lanes; ++lane) {
      for (int e = 0; e < tile.depth; ++e) {
        const std::vector<std::byte> before = memory;
        tile.store(memory.data(), lane, e, ones);
        size_t changed = 0;
        for (size_t i = 0; i < memory.size(); ++i) {
          // Only zeros become ones: no entry shares a bit with another.
          REQUIRE((before[i] & ~memory[i]) == std::byte{0});
          changed += static_cast<size_t>(
              __builtin_popcount(std::to_integer<unsigned>(before[i] ^ memory[i])));
        }
        REQUIRE(changed == static_cast<size_t>(bits));
        n_bits += changed;
      }
    }
    CHECK(n_bits == static_cast<size_t>(32 * 80 * bits));  // padding stays zero
    tile.store(memory.data(), 5, 7, 0xffffffffu & ~ones);  // bits above the code are ignored
    CHECK(tile.load(memory.data(), 5, 7) == 0);
    CHECK(tile.load(memory.data(), 5, 6) == ones);
    CHECK(tile.load(memory.data(), 5, 8) == ones);
    CHECK(tile.load(memory.data(), 4, 7) == ones);
  }
}

TEST_CASE("words lie as the kernels read them", "[block_layout]") {
  // 4 bits: one u32 holds 8 consecutive entries of a lane; lanes lie side by side, groups after
  // each other.
  constexpr TileShape k4{32, 128, 4};
  static_assert(k4.word(0, 0) == 0 && k4.word(31, 7) == 31 && k4.word(0, 8) == 32);
  static_assert(k4.shift(0) == 0 && k4.shift(7) == 28 && k4.shift(8) == 0);
  static_assert(k4.bytes() == 2048);
  // bf16: a word holds two entries of a lane.
  constexpr TileShape v16{128, 32, 16};
  static_assert(v16.word(3, 1) == 3 && v16.shift(1) == 16 && v16.word(3, 2) == 131);
  // 3 bits: per 32 entries one row of high words, then two of low words.
  constexpr TileShape k3{32, 64, 3};
  static_assert(k3.high_word(2, 31) == 2 && k3.high_word(2, 32) == 98);
  static_assert(k3.low_word(2, 15) == 34 && k3.low_word(2, 16) == 66 && k3.low_word(2, 32) == 130);
  static_assert(k3.bytes() == 64 * 32 * 3 / 8);
  // Only head_dim 80 at 3 bits is padded, in K.
  static_assert(TileShape{32, 80, 3}.depth_padded() == 96 && TileShape{80, 32, 3}.bytes() == 960);

  std::vector<std::byte> memory(k4.bytes(), std::byte{0});
  k4.store(memory.data(), 2, 9, 0xb);
  CHECK(memory[4 * (32 + 2)] ==
        std::byte{0xb0});  // little endian: entry 9 is the high nibble of byte 0
}

TEST_CASE("tiles, scales and exponents fill the parts of slabs", "[block_layout]") {
  for (const int head_dim : kHeadDims) {
    for (const KvFormat k : kFormats) {
      for (const KvFormat v : kFormats) {
        for (const int block_tokens : {32, 96, 128, 512, 1024}) {
          CAPTURE(head_dim, tq::to_string(KvFormats{k, v}), block_tokens);
          constexpr int kHeads = 3;
          const BlockLayout layout =
              BlockLayout::create({.n_layers = 2, .n_kv_heads = kHeads, .head_dim = head_dim},
                                  {k, v}, block_tokens)
                  .value();
          const int n_blocks = 2 * layout.slab_blocks();
          std::set<Range> hot, sealed, scales, exponents;
          for (int block = 0; block < n_blocks; ++block) {
            for (int t = 0; t < layout.n_tiles(); ++t) {
              for (int head = 0; head < kHeads; ++head) {
                const auto part = static_cast<size_t>(layout.part(block, t) + 16 * head);
                const auto put_tile = [](std::set<Range>& ranges, size_t at, TileShape tile) {
                  REQUIRE(at % 64 == 0);
                  ranges.insert({at, at + tile.bytes()});
                };
                put_tile(hot, part * layout.hot_part_bytes(), layout.hot_k_tile());
                put_tile(hot, part * layout.hot_part_bytes() + layout.hot_v(), layout.hot_v_tile());
                put_tile(sealed, part * layout.code_part_bytes(), layout.sealed_k_tile());
                put_tile(sealed, part * layout.code_part_bytes() + layout.sealed_v(),
                         layout.sealed_v_tile());
                const auto put = [](std::set<Range>& ranges, size_t at, int n_bytes) {
                  if (n_bytes > 0) ranges.insert({at, at + static_cast<size_t>(n_bytes)});
                };
                const size_t first = part * layout.scale_part_bytes();
                REQUIRE(first % 32 == 0);
                put(scales, first, 32 * layout.n_k_groups());
                put(scales, first + layout.v_scales(), 32 * layout.n_v_groups());
                if (layout.formats().sealed_is_hot()) continue;
                const size_t exponent = part * layout.exponent_part_bytes();
                put(exponents, exponent, 1);
                put(exponents, exponent + layout.v_exponent(), 1);
              }
            }
          }
          const auto n_parts = static_cast<size_t>(layout.pool_parts(n_blocks));
          REQUIRE(n_parts == static_cast<size_t>(n_blocks * kHeads * layout.n_tiles()));
          REQUIRE(hot.size() == 2 * n_parts);
          REQUIRE(sealed.size() == 2 * n_parts);
          require_exact_cover(hot, n_parts * layout.hot_part_bytes());
          require_exact_cover(sealed, n_parts * layout.code_part_bytes());
          require_exact_cover(scales, n_parts * layout.scale_part_bytes());
          require_exact_cover(exponents, n_parts * layout.exponent_part_bytes());
        }
      }
    }
  }
}

TEST_CASE("slabs follow each other, and pools are whole slabs", "[block_layout]") {
  const auto layout_of = [](int block_tokens) {
    return BlockLayout::create({.n_layers = 2, .n_kv_heads = 3, .head_dim = 64}, {}, block_tokens)
        .value();
  };
  const BlockLayout one = layout_of(32);
  CHECK(one.slab_blocks() == 16);
  CHECK(one.part(0, 0) == 0);
  CHECK(one.part(15, 0) == 15);
  CHECK(one.part(16, 0) == 48);
  CHECK(one.part(35, 0) == 99);
  CHECK(one.pool_parts(0) == 0);
  CHECK(one.pool_parts(1) == 48);
  CHECK(one.pool_parts(16) == 48);
  CHECK(one.pool_parts(17) == 96);
  const BlockLayout three = layout_of(96);  // a slab ends within a block
  CHECK(three.slab_blocks() == 16);
  CHECK(three.part(5, 0) == 15);
  CHECK(three.part(5, 1) == 48);
  CHECK(three.pool_parts(5) == 48);
  CHECK(three.pool_parts(6) == 96);
  CHECK(layout_of(128).slab_blocks() == 4);
  CHECK(layout_of(1024).slab_blocks() == 1);
  CHECK(layout_of(1024).pool_parts(1) == 96);
}

TEST_CASE("bytes per token follow from the layout", "[block_layout]") {
  const auto bits_per_value = [](int head_dim, KvFormats formats) {
    return BlockLayout::create({.n_layers = 30, .n_kv_heads = 3, .head_dim = head_dim}, formats, 32)
        .value()
        .sealed_bits_per_value();
  };
  const auto both = [](KvFormat format) { return KvFormats{format, format}; };
  // A byte per 16 coordinates of keys and per 64 of values; two exponents per tile and head.
  const auto exponents = [](int head_dim) { return 8.0 / (32 * head_dim); };
  const double scales = (8.0 / 16 + 8.0 / 64) / 2;
  CHECK(bits_per_value(64, both(KvFormat::kTq4)) == Approx(4 + scales + exponents(64)));
  CHECK(bits_per_value(128, both(KvFormat::kTq4)) == Approx(4 + scales + exponents(128)));
  CHECK(bits_per_value(256, both(KvFormat::kTq8)) == Approx(8 + scales + exponents(256)));
  CHECK(bits_per_value(128, both(KvFormat::kTq3)) == Approx(3 + scales + exponents(128)));
  CHECK(bits_per_value(128, both(KvFormat::kTq2)) == Approx(2 + scales + exponents(128)));
  CHECK(bits_per_value(128, {KvFormat::kTq4, KvFormat::kTq2}) ==
        Approx(3 + scales + exponents(128)));
  CHECK(bits_per_value(128, {KvFormat::kBf16, KvFormat::kTq4}) ==
        Approx((16 + 4 + 8.0 / 64) / 2 + exponents(128)));
  CHECK(bits_per_value(64, both(KvFormat::kBf16)) == 16.0);
  // head_dim 80 at 3 bits: K pays for 96 dimensions and 5 scales, V for 80 and 2.
  CHECK(bits_per_value(80, both(KvFormat::kTq3)) ==
        Approx((3.0 * 96 / 80 + 3.0 + 8.0 * 7 / 80) / 2 + exponents(80)));

  // SmolLM2-135M: 30 layers, 3 KV heads of 64.
  const BlockLayout smol = BlockLayout::create({.n_layers = 30, .n_kv_heads = 3, .head_dim = 64},
                                               both(KvFormat::kTq4), 32)
                               .value();
  CHECK(smol.hot_bytes_per_token() == 30 * 3 * 2 * 64 * 2);
  // 64 codes of K and of V, 4 scales and 1; two exponents per block.
  CHECK(smol.sealed_bytes_per_token() == 30 * 3 * (32 + 4 + 32 + 1 + 2.0 / 32));
  CHECK(smol.sealed_bytes_per_token() <= 0.27 * smol.hot_bytes_per_token());
}

TEST_CASE("a layout refuses shapes it cannot hold, naming the field", "[block_layout]") {
  const auto where = [](tq::quant::KvShape shape, int block_tokens) {
    const auto layout = BlockLayout::create(shape, {}, block_tokens);
    return layout.ok() ? std::string("ok") : layout.error().where;
  };
  CHECK(where({2, 2, 64}, 32) == "ok");
  for (const int head_dim : {0, -64, 63, 72, 100, 512})
    CHECK(where({2, 2, head_dim}, 32) == "head_dim");
  for (const int n : {0, -1, 4097}) CHECK(where({n, 2, 64}, 32) == "n_layers");
  for (const int n : {0, -1, 4097}) CHECK(where({2, n, 64}, 32) == "n_kv_heads");
  for (const int n : {0, -32, 16, 33, 48, 4128}) CHECK(where({2, 2, 64}, n) == "block_tokens");
}
