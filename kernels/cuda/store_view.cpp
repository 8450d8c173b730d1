#include "kernels/cuda/store_view.h"

#include <algorithm>
#include <limits>

#include "config/check.h"
#include "config/limits.h"

namespace tq::kernels::cuda {
namespace {

static_assert(kTile == quant::kTileTokens && kHeadParts == quant::kSlabTiles);
static_assert(kKeyGroup == quant::kKeyGroup && kValueGroup == quant::kValueGroup);
static_assert(kHeadDimMax == limits::kHeadDimMax);
static_assert(kLevelsMax == quant::kLevelsMax);
static_assert(kBooksMax == quant::ScaleFormat{2}.n_books());

void set_tables(const quant::RowCodec& codec, HalfView& half) {
  int8_t levels[kLevelsMax] = {};
  int8_t* level = levels;
  for (int book = 0; book < codec.scale_format().n_books(); ++book) {
    level = std::copy(codec.levels(book).begin(), codec.levels(book).end(), level);
  }
  if (half.bits == 4) {
    for (int code = 0; code < 8; ++code) {
      TQ_CHECK(levels[code] < -1, "a lower level's look-up must be negative", levels[code]);
      levels[8 + code] = static_cast<int8_t>(levels[8 + code] + 1);
      if (levels[8 + code] < 0) levels[code] = static_cast<int8_t>(levels[code] + 1);
    }
  }
  for (int i = 0; i < kLevelsMax; ++i) {
    half.tables[i / 4] |= static_cast<uint32_t>(static_cast<uint8_t>(levels[i])) << i % 4 * 8;
  }
}

HalfView sealed_half(const cpu::StoreCodec& store, bool is_key) {
  const quant::BlockLayout& layout = store.layout();
  const quant::TileShape tile = is_key ? layout.sealed_k_tile() : layout.sealed_v_tile();
  HalfView half;
  half.bits = tile.bits;
  half.tile_bytes = static_cast<uint32_t>(tile.bytes());
  half.offset = is_key ? 0 : static_cast<uint32_t>(layout.sealed_v());
  const quant::RowCodec* const codec = is_key ? store.k_codec() : store.v_codec();
  if (codec == nullptr) return half;
  half.book_bits = codec->scale_format().book_bits;
  half.scale_offset = is_key ? 0 : static_cast<uint32_t>(layout.v_scales());
  half.exponent_offset = is_key ? 0 : static_cast<uint32_t>(layout.v_exponent());
  if (tile.bits != 8) set_tables(*codec, half);
  return half;
}

}  // namespace

StoreView make_store_view(const cpu::StoreCodec& store) {
  const quant::BlockLayout& layout = store.layout();
  StoreView view;
  view.hot_stride = layout.hot_part_bytes();
  view.codes_stride = layout.code_part_bytes();
  view.scales_stride = layout.scale_part_bytes();
  view.exponents_stride = layout.exponent_part_bytes();
  view.n_kv_heads = layout.shape().n_kv_heads;
  view.head_dim = layout.shape().head_dim;
  view.hot_v.offset = static_cast<uint32_t>(layout.hot_v());
  view.sealed_k = sealed_half(store, true);
  view.sealed_v = sealed_half(store, false);
  return view;
}

StoreView in_layer(StoreView view, const KvArena& arena, LayerIdx layer) {
  view.hot = arena.hot(layer);
  view.codes = arena.codes(layer);
  view.scales = arena.scales(layer);
  view.exponents = arena.exponents(layer);
  return view;
}

CellTables make_cells(const quant::RowCodec& codec) {
  constexpr int kNone = std::numeric_limits<int16_t>::max();  // no coordinate lies above it
  CellTables tables;
  for (int book = 0; book < codec.scale_format().n_books(); ++book) {
    const std::span<const int8_t> levels = codec.levels(book);
    const std::span<const int16_t> boundaries = codec.boundaries(book);
    size_t code = 0;
    for (int cell = 0; !levels.empty() && cell < CodecView::kCells; ++cell) {
      const int end = (cell + 1 - CodecView::kCells / 2) * CodecView::kCellSteps;
      const size_t below = code;
      if (code < boundaries.size() && boundaries[code] < end) ++code;
      const auto byte = [&](size_t k) { return uint32_t{static_cast<uint8_t>(levels[k])}; };
      const int boundary = code > below ? boundaries[below] : kNone;
      tables.cells.push_back(static_cast<uint32_t>(boundary) << 16 | byte(code) << 8 | byte(below));
      tables.codes.push_back(static_cast<uint8_t>(below));
    }
  }
  return tables;
}

}  // namespace tq::kernels::cuda
