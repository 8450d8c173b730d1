#pragma once
// The layout and codecs of quant/, as the kernels read them. Pure; any thread.

#include <cstdint>
#include <vector>

#include "kernels/cpu/store_codec.h"
#include "kernels/cuda/launch.h"
#include "kernels/kv_arena.h"

namespace tq::kernels::cuda {

// Both pools in one layer, without pointers.
StoreView make_store_view(const cpu::StoreCodec& store);
// The same with those of an arena.
StoreView in_layer(StoreView view, const KvArena& arena, LayerIdx layer);

// The tables of CodecView, by book.
struct CellTables {
  std::vector<uint32_t> cells;
  std::vector<uint8_t> codes;
};
CellTables make_cells(const quant::RowCodec& codec);

}  // namespace tq::kernels::cuda
