#include "kernels/cpu/store_codec.h"

#include <array>
#include <cstring>

#include "config/limits.h"
#include "quant/float16.h"

namespace tq::kernels::cpu {
namespace {

using quant::kTileTokens;
using quant::TileShape;

using RowBuffer = std::array<float, limits::kHeadDimMax>;

// Where the head_dim entries of one token's row lie in a tile: along the depth of one lane (keys),
// or along the lanes at one depth (values).
struct RowPlace {
  TileShape tile;
  bool is_key = true;
  int token = 0;  // 0 to 31, in the tile

  uint32_t load(const std::byte* bytes, int j) const noexcept {
    return is_key ? tile.load(bytes, token, j) : tile.load(bytes, j, token);
  }
  void store(std::byte* bytes, int j, uint32_t code) const noexcept {
    is_key ? tile.store(bytes, token, j, code) : tile.store(bytes, j, token, code);
  }
};

struct SealHalf {
  RowPlace hot;
  RowPlace sealed;
  const quant::RowCodec* codec = nullptr;  // null: bf16
  int head_dim = 0;
};

// One row of a hot tile into a sealed one. Returns the scale (0 for a bf16 half, which has none).
Result<uint16_t> seal_row(const SealHalf& half, const std::byte* hot_tile, std::byte* sealed_tile) {
  if (half.codec == nullptr) {
    for (int j = 0; j < half.head_dim; ++j) {
      half.sealed.store(sealed_tile, j, half.hot.load(hot_tile, j));
    }
    return uint16_t{0};
  }
  RowBuffer row;
  std::array<uint8_t, limits::kHeadDimMax> codes;
  const auto n = static_cast<size_t>(half.head_dim);
  for (int j = 0; j < half.head_dim; ++j) {
    row[static_cast<size_t>(j)] =
        quant::bf16_to_float(static_cast<uint16_t>(half.hot.load(hot_tile, j)));
  }
  auto scale = half.codec->encode(std::span(row).first(n), std::span(codes).first(n));
  if (!scale.ok()) {
    return Error{Code::kInternal, "cannot seal a block: " + scale.error().message, "kv"};
  }
  for (int j = 0; j < half.head_dim; ++j) {
    half.sealed.store(sealed_tile, j, codes[static_cast<size_t>(j)]);
  }
  // The layout's padding of a key's depth is zero bits.
  const int n_entries = half.sealed.is_key ? half.sealed.tile.depth_padded() : half.head_dim;
  for (int j = half.head_dim; j < n_entries; ++j) half.sealed.store(sealed_tile, j, 0);
  return scale;
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
              quant::RowCodec::create(dim, quant::entry_bits(formats.k), options.kv.scale_rule));
  }
  if (formats.v != KvFormat::kBf16) {
    TQ_ASSIGN(codec.v_codec_,
              quant::RowCodec::create(dim, quant::entry_bits(formats.v), options.kv.scale_rule));
  }
  return codec;
}

void StoreCodec::append_token(std::byte* hot_block,
                              int slot,
                              std::span<const float> k,
                              std::span<const float> v) const noexcept {
  const int dim = layout_.shape().head_dim;
  const auto n = static_cast<size_t>(dim);
  const int tile = slot / kTileTokens;
  const int token = slot % kTileTokens;
  const TileShape k_tile = layout_.hot_k_tile();
  const TileShape v_tile = layout_.hot_v_tile();
  RowBuffer buffer;
  const std::span<float> row = std::span(buffer).first(n);
  for (int head = 0; head < layout_.shape().n_kv_heads; ++head) {
    const size_t start = static_cast<size_t>(head) * n;
    std::byte* const k_bytes = hot_block + layout_.hot_k(head, tile);
    std::memcpy(row.data(), k.data() + start, row.size_bytes());
    if (rotation_) rotation_->apply(row);
    for (int j = 0; j < dim; ++j) {
      k_tile.store(k_bytes, token, j, quant::float_to_bf16(row[static_cast<size_t>(j)]));
    }
    std::byte* const v_bytes = hot_block + layout_.hot_v(head, tile);
    std::memcpy(row.data(), v.data() + start, row.size_bytes());
    if (rotation_) rotation_->apply(row);
    for (int j = 0; j < dim; ++j) {
      v_tile.store(v_bytes, j, token, quant::float_to_bf16(row[static_cast<size_t>(j)]));
      // Tokens share words in pairs. The first of a pair clears its partner, so that a kernel which
      // reads whole words meets zero there and never what an earlier owner of the block left.
      if (token % 2 == 0) v_tile.store(v_bytes, j, token + 1, 0);
    }
  }
}

Result<void> StoreCodec::seal_layer(const std::byte* hot_block,
                                    std::byte* codes,
                                    uint16_t* scales) const {
  const int dim = layout_.shape().head_dim;
  for (int head = 0; head < layout_.shape().n_kv_heads; ++head) {
    for (int slot = 0; slot < layout_.block_tokens(); ++slot) {
      const int tile = slot / kTileTokens;
      const int token = slot % kTileTokens;
      const SealHalf k{{layout_.hot_k_tile(), true, token},
                       {layout_.sealed_k_tile(), true, token},
                       k_codec(),
                       dim};
      TQ_ASSIGN(const uint16_t k_scale, seal_row(k, hot_block + layout_.hot_k(head, tile),
                                                 codes + layout_.sealed_k(head, tile)));
      if (k_codec() != nullptr) scales[layout_.k_scale(head, slot)] = k_scale;
      const SealHalf v{{layout_.hot_v_tile(), false, token},
                       {layout_.sealed_v_tile(), false, token},
                       v_codec(),
                       dim};
      TQ_ASSIGN(const uint16_t v_scale, seal_row(v, hot_block + layout_.hot_v(head, tile),
                                                 codes + layout_.sealed_v(head, tile)));
      if (v_codec() != nullptr) scales[layout_.v_scale(head, slot)] = v_scale;
    }
  }
  return {};
}

}  // namespace tq::kernels::cpu
