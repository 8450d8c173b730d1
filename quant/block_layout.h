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
// A part is what a block holds of one layer and one KV head:
//   hot     [K tiles][V tiles], bf16
//   sealed  [K tiles][V tiles], codes; and, in arrays of their own, [K tiles][V tiles] of scales,
//           one byte for each group of neighbouring coordinates of a token: [n_groups][32 tokens] a
//           tile; and [K tiles][V tiles] the exponent that the scales of a tile share, a byte each.
// A half whose format is bf16 lies in the sealed block as bf16 tiles and has no scales.
//
// In a layer, parts lie [slab][KV head][block of the slab]: attention reads one head of the blocks
// of a sequence, and where these have neighbouring ids it reads ahead in memory. A slab is no
// longer than that takes, so that few blocks in use touch little memory.

#include <cstddef>
#include <cstdint>

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
inline constexpr int kSlabTokens = 512;  // 64 KiB of tq4 codes, head_dim 128

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

  // Blocks of a slab, a power of two; pools are allocated in whole slabs.
  int slab_blocks() const noexcept;
  // Parts of a pool in one layer.
  int64_t pool_parts(int64_t n_blocks) const noexcept {
    return (n_blocks + slab_blocks() - 1) / slab_blocks() * slab_blocks() * shape_.n_kv_heads;
  }
  // Index of a block's part of KV head 0 among the parts of its layer; that of head h lies
  // h * slab_blocks() parts further on.
  int64_t part(int64_t block) const noexcept {
    const int64_t in_slab = block % slab_blocks();
    return (block - in_slab) * shape_.n_kv_heads + in_slab;
  }

  // Byte offsets of a tile from the start of the block's part of KV head 0.
  size_t hot_k(int kv_head, int tile) const noexcept;
  size_t hot_v(int kv_head, int tile) const noexcept;
  size_t sealed_k(int kv_head, int tile) const noexcept;
  size_t sealed_v(int kv_head, int tile) const noexcept;
  // The same for a tile's scales and exponent in their arrays; never called for bf16.
  size_t k_scales(int kv_head, int tile) const noexcept;
  size_t v_scales(int kv_head, int tile) const noexcept;
  size_t k_exponent(int kv_head, int tile) const noexcept;
  size_t v_exponent(int kv_head, int tile) const noexcept;
  // Groups of a row; 0 for bf16.
  int n_k_groups() const noexcept { return n_groups(formats_.k, kKeyGroup); }
  int n_v_groups() const noexcept { return n_groups(formats_.v, kValueGroup); }

  // Sizes of a part. Hot rows and codes are multiples of 64 bytes; scales of 32, exponents of 2.
  size_t hot_part_bytes() const noexcept;
  size_t code_part_bytes() const noexcept;
  size_t scale_part_bytes() const noexcept;
  size_t exponent_part_bytes() const noexcept;
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
  size_t k_offset(TileShape k, TileShape v, int kv_head, int tile) const noexcept;
  size_t v_offset(TileShape k, TileShape v, int kv_head, int tile) const noexcept;
  int n_groups(KvFormat format, int group) const noexcept {
    return format == KvFormat::kBf16 ? 0 : (shape_.head_dim + group - 1) / group;
  }
  size_t n_parts() const noexcept {  // of a block
    return static_cast<size_t>(shape_.n_layers) * static_cast<size_t>(shape_.n_kv_heads);
  }
  size_t head_offset(int kv_head, int tile, size_t part_bytes) const noexcept;

  KvShape shape_;
  KvFormats formats_;
  int block_tokens_;
};

}  // namespace tq::quant
