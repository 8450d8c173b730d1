#pragma once
// BlockLayout: the only owner of byte offsets in the KV store, for host, SIMD, CUDA and tests
// alike. Pure arithmetic; plain value; any thread.
//
// A tile is a small matrix of codes read by one instruction stream: `lanes` independent results,
// each a dot product over `depth` entries. Keys: a lane is a token, depth is head_dim (q.k gives
// one score per lane). Values: a lane is a dimension, depth is the 32 tokens of the tile (p.V gives
// one output per lane). So one kernel serves both, no lane is ever summed horizontally, and loads
// are whole vectors.
//
// A word is 32 bits of one lane: 32/bits consecutive depth entries, entry e at bits [bits*e,
// bits*(e+1)). Words lie depth-major: word index = group * lanes + lane. bf16 rows use the same
// form with 16 bits. 3-bit codes are two planes, interleaved so that one forward stream reads both:
// per 32 depth entries `lanes` words of high bits (1 bit each), then 2 x `lanes` words of low bits
// (2 bits each).
//
// A part is what a tile of 32 tokens holds of one layer and one KV head:
//   hot        [K tile][V tile], bf16
//   codes      [K tile][V tile]
//   scales     [K groups][32 tokens][V groups][32 tokens], a byte each
//   exponents  what the scales of the K tile share, and those of the V tile, a byte each
// A half whose format is bf16 has bf16 tiles for codes, and no scales.
//
// In a layer, parts lie [slab][KV head][tile of the slab]: attention reads one head of the tiles of
// a sequence, and where its blocks have neighbouring ids it reads ahead in memory. A slab is no
// longer than that takes, so that few blocks in use touch little memory.

#include <cstddef>
#include <cstdint>
#include <numeric>

#include "config/kv_config.h"
#include "config/result.h"

namespace tq::quant {

inline constexpr int kTileTokens = 32;
// Coordinates that share a scale. Keys need the finer ones, and values must not have many: a scale
// of theirs belongs to the weights, which are then prepared once per group (kernels/README.md).
inline constexpr int kKeyGroup = 16;
inline constexpr int kValueGroup = 64;
inline constexpr int kLayoutCountMax = 4096;  // layers, and KV heads: every size fits in 63 bits
inline constexpr int kBlockTokensMax = 4096;
inline constexpr int kSlabTiles = 16;  // 64 KiB of tq4 codes, head_dim 128

// Index of the part of KV head 0 of a pool's tile, among the parts of its layer; that of head h
// lies h * kSlabTiles parts further on.
constexpr int64_t first_part(int64_t tile, int64_t n_kv_heads) noexcept {
  const int64_t in_slab = tile % kSlabTiles;
  return (tile - in_slab) * n_kv_heads + in_slab;
}

// Bits of one stored entry: 16 for bf16, else the code width.
constexpr int entry_bits(KvFormat format) noexcept {
  switch (format) {
    case KvFormat::kBf16: return 16;
    case KvFormat::kTq8: return 8;
    case KvFormat::kTq4: return 4;
    case KvFormat::kTq3: return 3;
    case KvFormat::kTq2: return 2;
  }
  return 0;
}

// Depth entries per unit of the layout: a tile's depth is padded up to a multiple of it (only
// head_dim 80 at 3 bits is ever padded). Padding codes are zero bits and meet zero coefficients.
constexpr int depth_unit(int bits) noexcept { return bits == 3 ? 32 : 32 / bits; }

struct TileShape {
  int lanes = 0;
  int depth = 0;
  int bits = 0;  // 16, 8, 4, 3 or 2

  constexpr int depth_padded() const noexcept {
    const int unit = depth_unit(bits);
    return (depth + unit - 1) / unit * unit;
  }
  constexpr size_t bytes() const noexcept {
    return static_cast<size_t>(lanes) * static_cast<size_t>(depth_padded()) *
           static_cast<size_t>(bits) / 8;
  }

  // Index of the 32-bit word, from the tile's start, and the shift in it, of entry (lane, e). bits
  // != 3.
  constexpr size_t word(int lane, int e) const noexcept {
    return static_cast<size_t>(e / (32 / bits)) * static_cast<size_t>(lanes) +
           static_cast<size_t>(lane);
  }
  constexpr int shift(int e) const noexcept { return e % (32 / bits) * bits; }

  // The same for the two planes of 3-bit codes.
  constexpr size_t high_word(int lane, int e) const noexcept {
    return static_cast<size_t>(e / 32) * 3 * static_cast<size_t>(lanes) + static_cast<size_t>(lane);
  }
  constexpr int high_shift(int e) const noexcept { return e % 32; }
  constexpr size_t low_word(int lane, int e) const noexcept {
    return static_cast<size_t>(e / 32) * 3 * static_cast<size_t>(lanes) +
           static_cast<size_t>(1 + e % 32 / 16) * static_cast<size_t>(lanes) +
           static_cast<size_t>(lane);
  }
  constexpr int low_shift(int e) const noexcept { return e % 16 * 2; }

  // Reads or writes one code (the slow, obvious way; bf16 entries are raw 16-bit patterns).
  uint32_t load(const std::byte* tile, int lane, int e) const noexcept;
  void store(std::byte* tile, int lane, int e, uint32_t code) const noexcept;
};

struct KvShape {
  int n_layers = 0;
  int n_kv_heads = 0;
  int head_dim = 0;
};

class BlockLayout {
 public:
  // Errors: head_dim not in {64, 80, 96, 128, 256}; block_tokens no multiple of 32
  // in 32..kBlockTokensMax; layers or heads outside 1..kLayoutCountMax.
  static Result<BlockLayout> create(KvShape shape, KvFormats formats, int block_tokens);

  const KvShape& shape() const noexcept { return shape_; }
  KvFormats formats() const noexcept { return formats_; }
  int block_tokens() const noexcept { return block_tokens_; }
  int n_tiles() const noexcept { return block_tokens_ / kTileTokens; }

  TileShape hot_k_tile() const noexcept { return k_tile(KvFormat::kBf16); }
  TileShape hot_v_tile() const noexcept { return v_tile(KvFormat::kBf16); }
  TileShape sealed_k_tile() const noexcept { return k_tile(formats_.k); }
  TileShape sealed_v_tile() const noexcept { return v_tile(formats_.v); }

  // The fewest blocks that fill whole slabs, which is how pools are allocated.
  int slab_blocks() const noexcept { return kSlabTiles / std::gcd(kSlabTiles, n_tiles()); }
  // Parts of a pool in one layer.
  int64_t pool_parts(int64_t n_blocks) const noexcept {
    return (n_blocks * n_tiles() + kSlabTiles - 1) / kSlabTiles * kSlabTiles * shape_.n_kv_heads;
  }
  int64_t part(int64_t block, int tile) const noexcept {  // of KV head 0
    return first_part(block * n_tiles() + tile, shape_.n_kv_heads);
  }

  // Byte offsets in a part; keys come first.
  size_t hot_v() const noexcept { return hot_k_tile().bytes(); }
  size_t sealed_v() const noexcept { return sealed_k_tile().bytes(); }
  size_t v_scales() const noexcept { return static_cast<size_t>(n_k_groups() * kTileTokens); }
  static constexpr size_t v_exponent() noexcept { return 1; }
  // Groups of a row; 0 for bf16.
  int n_k_groups() const noexcept { return n_groups(formats_.k, kKeyGroup); }
  int n_v_groups() const noexcept { return n_groups(formats_.v, kValueGroup); }

  // Sizes of a part. Hot rows and codes are multiples of 64 bytes; scales of 32, exponents of 2.
  size_t hot_part_bytes() const noexcept { return hot_k_tile().bytes() + hot_v_tile().bytes(); }
  size_t code_part_bytes() const noexcept {
    return sealed_k_tile().bytes() + sealed_v_tile().bytes();
  }
  size_t scale_part_bytes() const noexcept {
    return static_cast<size_t>((n_k_groups() + n_v_groups()) * kTileTokens);
  }
  size_t exponent_part_bytes() const noexcept { return formats_.sealed_is_hot() ? 0 : 2; }
  // Of one block in all layers and heads.
  size_t hot_block_bytes() const noexcept { return n_parts() * hot_part_bytes(); }
  size_t sealed_block_bytes() const noexcept {
    return n_parts() * (code_part_bytes() + scale_part_bytes() + exponent_part_bytes());
  }

  // Bytes one token takes in all layers and heads, K and V, scales included.
  double hot_bytes_per_token() const noexcept;
  double sealed_bytes_per_token() const noexcept;
  // The same per stored value: 16 for bf16, 4.3164 for tq4 and head_dim 64.
  double sealed_bits_per_value() const noexcept;

 private:
  BlockLayout(KvShape shape, KvFormats formats, int block_tokens)
      : shape_(shape), formats_(formats), block_tokens_(block_tokens) {}
  TileShape k_tile(KvFormat format) const noexcept {
    return {kTileTokens, shape_.head_dim, entry_bits(format)};
  }
  TileShape v_tile(KvFormat format) const noexcept {
    return {shape_.head_dim, kTileTokens, entry_bits(format)};
  }
  int n_groups(KvFormat format, int group) const noexcept {
    return format == KvFormat::kBf16 ? 0 : (shape_.head_dim + group - 1) / group;
  }
  size_t n_parts() const noexcept {  // of a block
    return static_cast<size_t>(shape_.n_layers) * static_cast<size_t>(shape_.n_kv_heads) *
           static_cast<size_t>(n_tiles());
  }

  KvShape shape_;
  KvFormats formats_;
  int block_tokens_;
};

}  // namespace tq::quant
