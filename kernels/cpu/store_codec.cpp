#include "kernels/cpu/store_codec.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "config/limits.h"
#include "quant/float16.h"

namespace tq::kernels::cpu {
namespace {

using quant::kTileTokens;
using quant::TileShape;

using RowBuffer = std::array<float, limits::kHeadDimMax>;

// One tile on its way from 16 bits to codes.
struct TileSeal {
  const quant::RowCodec* codec = nullptr;  // null: bf16
  bool is_key = true;  // a token's row lies along the depth of a lane; a value's across the lanes
  int head_dim = 0;
  TileShape from;
  TileShape to;
  const std::byte* hot = nullptr;
  std::byte* sealed = nullptr;
  uint8_t* scales = nullptr;  // [n_groups][32]; as exponent, null for bf16
  uint8_t* exponent = nullptr;

  uint32_t load(int token, int j) const noexcept {
    return is_key ? from.load(hot, token, j) : from.load(hot, j, token);
  }
  void store(int token, int j, uint32_t code) const noexcept {
    is_key ? to.store(sealed, token, j, code) : to.store(sealed, j, token, code);
  }
  void load_row(int token, std::span<float> row) const noexcept {
    for (int j = 0; j < head_dim; ++j) {
      row[static_cast<size_t>(j)] = quant::bf16_to_float(static_cast<uint16_t>(load(token, j)));
    }
  }
};

void copy_tile(const TileSeal& tile) noexcept {
  for (int token = 0; token < kTileTokens; ++token) {
    for (int j = 0; j < tile.head_dim; ++j) tile.store(token, j, tile.load(token, j));
  }
}

Result<void> code_tile(const TileSeal& tile) {
  const auto n = static_cast<size_t>(tile.head_dim);
  const auto n_groups = static_cast<size_t>(tile.codec->shape().n_groups());
  RowBuffer row_buffer;
  std::array<uint8_t, limits::kHeadDimMax> code_buffer;
  std::array<uint8_t, limits::kHeadDimMax / quant::kKeyGroup> scale_buffer;
  const std::span<float> row = std::span(row_buffer).first(n);
  const std::span<uint8_t> codes = std::span(code_buffer).first(n);
  const std::span<uint8_t> scales = std::span(scale_buffer).first(n_groups);

  float largest = 0.0f;
  for (int token = 0; token < kTileTokens; ++token) {
    tile.load_row(token, row);
    for (const float value : row) largest = std::max(largest, std::abs(value));
  }
  *tile.exponent = quant::shared_exponent(largest);
  for (int token = 0; token < kTileTokens; ++token) {
    tile.load_row(token, row);
    const Result<void> coded = tile.codec->encode(row, *tile.exponent, codes, scales);
    if (!coded.ok()) {
      return Error{Code::kInternal, "cannot seal a block: " + coded.error().message, "kv"};
    }
    for (size_t g = 0; g < n_groups; ++g) {
      tile.scales[g * kTileTokens + static_cast<size_t>(token)] = scales[g];
    }
    for (int j = 0; j < tile.head_dim; ++j) tile.store(token, j, codes[static_cast<size_t>(j)]);
    // The layout's padding of a key's depth is zero bits.
    const int n_entries = tile.is_key ? tile.to.depth_padded() : tile.head_dim;
    for (int j = tile.head_dim; j < n_entries; ++j) tile.store(token, j, 0);
  }
  return {};
}

Result<void> seal_tile(const TileSeal& tile) {
  if (tile.codec != nullptr) return code_tile(tile);
  copy_tile(tile);
  return {};
}

}  // namespace

Result<StoreCodec> StoreCodec::create(const AttentionOptions& options) {
  TQ_ASSIGN(const quant::BlockLayout layout,
            quant::BlockLayout::create(options.shape, options.kv.formats, options.kv.block_tokens));
  StoreCodec codec(layout);
  const KvFormats formats = options.kv.formats;
  const int dim = options.shape.head_dim;
  if (!formats.sealed_is_hot()) {
    TQ_ASSIGN(codec.rotation_,
              quant::Rotation::create(
                  {.kind = options.kv.rotation, .dim = dim, .seed = options.kv.seed}));
  }
  if (formats.k != KvFormat::kBf16) {
    TQ_ASSIGN(codec.k_codec_,
              quant::RowCodec::create(
                  {.dim = dim, .bits = quant::entry_bits(formats.k), .group = quant::kKeyGroup}));
  }
  if (formats.v != KvFormat::kBf16) {
    TQ_ASSIGN(codec.v_codec_,
              quant::RowCodec::create(
                  {.dim = dim, .bits = quant::entry_bits(formats.v), .group = quant::kValueGroup}));
  }
  return codec;
}

void StoreCodec::append_token(const KvArena& arena,
                              const Slot& slot,
                              std::span<const float> k,
                              std::span<const float> v) const noexcept {
  const int dim = layout_.shape().head_dim;
  const auto n = static_cast<size_t>(dim);
  const int token = slot.slot % kTileTokens;
  const TileShape k_tile = layout_.hot_k_tile();
  const TileShape v_tile = layout_.hot_v_tile();
  RowBuffer buffer;
  const std::span<float> row = std::span(buffer).first(n);
  for (int head = 0; head < layout_.shape().n_kv_heads; ++head) {
    const size_t start = static_cast<size_t>(head) * n;
    const HotTile tile = arena.hot({.layer = slot.layer,
                                    .kv_head = head,
                                    .block = slot.block,
                                    .tile = slot.slot / kTileTokens});
    std::memcpy(row.data(), k.data() + start, row.size_bytes());
    if (rotation_) rotation_->apply(row);
    for (int j = 0; j < dim; ++j) {
      k_tile.store(tile.k, token, j, quant::float_to_bf16(row[static_cast<size_t>(j)]));
    }
    std::memcpy(row.data(), v.data() + start, row.size_bytes());
    if (rotation_) rotation_->apply(row);
    for (int j = 0; j < dim; ++j) {
      v_tile.store(tile.v, j, token, quant::float_to_bf16(row[static_cast<size_t>(j)]));
      // Tokens share words in pairs. The first of a pair clears its partner, so that a kernel which
      // reads whole words meets zero there and never what an earlier owner of the block left.
      if (token % 2 == 0) v_tile.store(tile.v, j, token + 1, 0);
    }
  }
}

Result<void> StoreCodec::seal(const SealCall& call) const {
  const quant::BlockLayout& l = layout_;
  TilePlace place;
  for (place.layer = 0; place.layer < l.shape().n_layers; ++place.layer) {
    for (place.kv_head = 0; place.kv_head < l.shape().n_kv_heads; ++place.kv_head) {
      for (place.tile = 0; place.tile < l.n_tiles(); ++place.tile) {
        place.block = call.hot;
        const HotTile hot = call.arena->hot(place);
        place.block = call.sealed;
        const SealedTile sealed = call.arena->sealed(place);
        TQ_TRY(seal_tile({.codec = k_codec(),
                          .is_key = true,
                          .head_dim = l.shape().head_dim,
                          .from = l.hot_k_tile(),
                          .to = l.sealed_k_tile(),
                          .hot = hot.k,
                          .sealed = sealed.k,
                          .scales = sealed.k_scales,
                          .exponent = sealed.k_exponent}));
        TQ_TRY(seal_tile({.codec = v_codec(),
                          .is_key = false,
                          .head_dim = l.shape().head_dim,
                          .from = l.hot_v_tile(),
                          .to = l.sealed_v_tile(),
                          .hot = hot.v,
                          .sealed = sealed.v,
                          .scales = sealed.v_scales,
                          .exponent = sealed.v_exponent}));
      }
    }
  }
  return {};
}

}  // namespace tq::kernels::cpu
