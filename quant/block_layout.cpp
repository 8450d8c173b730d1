#include "quant/block_layout.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <string>

namespace tq::quant {
namespace {

constexpr std::array kHeadDims{64, 80, 96, 128, 256};

uint32_t read_word(const std::byte* tile, size_t index) noexcept {
  uint32_t word;
  std::memcpy(&word, tile + 4 * index, sizeof word);
  return word;
}

// Replaces the `width` bits at `shift` of a word and leaves the rest of it.
void write_bits(std::byte* tile, size_t index, int shift, int width, uint32_t value) noexcept {
  const uint32_t mask = ((1u << width) - 1u) << shift;
  const uint32_t word = (read_word(tile, index) & ~mask) | (value << shift & mask);
  std::memcpy(tile + 4 * index, &word, sizeof word);
}

Error bad(std::string where, std::string message) {
  return Error{Code::kInvalidArgument, std::move(message), std::move(where)};
}

// Every tile starts on a cache line, whatever the format: 4 * head_dim * bits bytes, padding aside.
constexpr bool tiles_fill_cache_lines() {
  for (const int head_dim : kHeadDims) {
    for (const int bits : {2, 3, 4, 8, 16}) {
      if (TileShape{kTileTokens, head_dim, bits}.bytes() % 64 != 0) return false;
      if (TileShape{head_dim, kTileTokens, bits}.bytes() % 64 != 0) return false;
    }
  }
  return true;
}
static_assert(tiles_fill_cache_lines());

}  // namespace

uint32_t TileShape::load(const std::byte* tile, int lane, int e) const noexcept {
  if (bits == 3) {
    const uint32_t high = read_word(tile, high_word(lane, e)) >> high_shift(e) & 1u;
    const uint32_t low = read_word(tile, low_word(lane, e)) >> low_shift(e) & 3u;
    return high << 2 | low;
  }
  return read_word(tile, word(lane, e)) >> shift(e) & ((1u << bits) - 1u);
}

void TileShape::store(std::byte* tile, int lane, int e, uint32_t code) const noexcept {
  if (bits == 3) {
    write_bits(tile, high_word(lane, e), high_shift(e), 1, code >> 2);
    write_bits(tile, low_word(lane, e), low_shift(e), 2, code);
    return;
  }
  write_bits(tile, word(lane, e), shift(e), bits, code);
}

Result<BlockLayout> BlockLayout::create(KvShape shape, KvFormats formats, int block_tokens) {
  if (std::find(kHeadDims.begin(), kHeadDims.end(), shape.head_dim) == kHeadDims.end()) {
    return bad("head_dim", "head_dim " + std::to_string(shape.head_dim) +
                               " is not supported; one of 64, 80, 96, 128, 256");
  }
  if (shape.n_layers < 1 || shape.n_layers > kLayoutCountMax) {
    return bad("n_layers", "n_layers must be 1 to " + std::to_string(kLayoutCountMax) + ", not " +
                               std::to_string(shape.n_layers));
  }
  if (shape.n_kv_heads < 1 || shape.n_kv_heads > kLayoutCountMax) {
    return bad("n_kv_heads", "n_kv_heads must be 1 to " + std::to_string(kLayoutCountMax) +
                                 ", not " + std::to_string(shape.n_kv_heads));
  }
  if (block_tokens < kTileTokens || block_tokens > kBlockTokensMax ||
      block_tokens % kTileTokens != 0) {
    return bad("block_tokens", "block_tokens must be a multiple of 32 from 32 to " +
                                   std::to_string(kBlockTokensMax) + ", not " +
                                   std::to_string(block_tokens));
  }
  return BlockLayout(shape, formats, block_tokens);
}

double BlockLayout::hot_bytes_per_token() const noexcept {
  return static_cast<double>(hot_block_bytes()) / block_tokens_;
}

double BlockLayout::sealed_bytes_per_token() const noexcept {
  return static_cast<double>(sealed_block_bytes()) / block_tokens_;
}

double BlockLayout::sealed_bits_per_value() const noexcept {
  const double values = 2.0 * shape_.n_layers * shape_.n_kv_heads * shape_.head_dim;
  return 8.0 * sealed_bytes_per_token() / values;
}

}  // namespace tq::quant
