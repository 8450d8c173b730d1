// linear() on bf16 weights with AMX's tiles, and split_inputs(). Included once per namespace TQ_ISA
// after row_body.h and a Tiles class with
//   begin(n_rows), end(): see amx_tiles.h,
//   zero<t>(), load<t>(from, stride), store<t>(to, stride),
//   dot_bf16<sum, a, b>(): sum[m][n] += the products of a's bf16 [m][k] with b's, of which row k /
//   2 holds two to each n.
// A test brings one in plain C++.
//
// An output is one fp32 sum over blocks of 32 inputs, ascending: of each block first the highs'
// part, then the lows'. A part is the sum of two chains of fused multiply-adds, of its even inputs
// and of its odd ones, each from zero and ascending; to nearest even, numbers below 2^-126 count as
// zero. That is one tdpbf16ps, to the bit, and the same for any number of rows.
//
// Bytes moved: 32 inputs of a panel are 1 KiB of memory and a tile as they lie there. One row goes
// this way too, at the speed of memory. Many rows read each weight once from memory and once per 32
// of them from L2, and the tile unit is the bound.

namespace tq::kernels::TQ_ISA {

// The nearest bf16, as its word's upper half; of two the one away from zero.
inline Words nearest_bf16(Vec x) noexcept {
  const Words bits = (Words)x;
  constexpr uint32_t kQuiet = 0x00400000u;  // a NaN's, which the rest may lack
  return (x == x ? bits + 0x8000u : bits | kQuiet) & 0xffff0000u;
}

inline void store_bf16(uint16_t* to, Words words) noexcept {
  typedef uint16_t Halves __attribute__((vector_size(TQ_VECTOR_BYTES / 2)));
  const auto halves = __builtin_convertvector(words >> 16, Halves);
  __builtin_memcpy(to, &halves, sizeof(halves));
}

void split_inputs(const SplitInputsCall& call) noexcept {
  const int64_t n_blocks = n_split_blocks(call.n_inputs);
  for (int64_t row = call.row_begin; row < call.row_end; ++row) {
    const float* x = call.x.data() + row * call.n_inputs;
    SplitInputs* blocks = call.split.data() + row * n_blocks;
    for (int64_t k = 0; k < n_blocks * kSplitInputs; k += kLanes) {
      const int64_t left = call.n_inputs - k;
      const Vec in = left > 0 ? load_row(x + k, left) : Vec{};
      const Words high = nearest_bf16(in);
      SplitInputs& block = blocks[k / kSplitInputs];
      store_bf16(block.high + k % kSplitInputs, high);
      store_bf16(block.low + k % kSplitInputs, nearest_bf16(in - (Vec)high));
    }
  }
}

constexpr size_t kSplitTileBytes = kSplitInputs * sizeof(uint16_t) * kPanelOutputs;
constexpr size_t kSplitAhead = 4 * kSplitTileBytes;  // as kBlocksAhead of codes
constexpr int kTileRows = 16;

// A product of inputs with weights: rows from the first, kPanels panels, and n_blocks blocks.
struct SplitProduct {
  const SplitInputs* inputs;
  int64_t row_blocks;  // from row to row
  const std::byte* weights;
  size_t panel_bytes;  // from panel to panel
  int64_t n_blocks;
};

template <int kRowTiles, int kPanels>
inline __attribute__((always_inline)) void add_part(const uint16_t* part,
                                                    int64_t row_blocks) noexcept {
  const auto stride = static_cast<size_t>(row_blocks) * sizeof(SplitInputs);
  Tiles::load<4>(part, stride);
  Tiles::dot_bf16<0, 4, 6>();
  if constexpr (kPanels > 1) Tiles::dot_bf16<1, 4, 7>();
  if constexpr (kRowTiles > 1) {
    Tiles::load<5>(reinterpret_cast<const char*>(part) + kTileRows * stride, stride);
    Tiles::dot_bf16<2, 5, 6>();
    if constexpr (kPanels > 1) Tiles::dot_bf16<3, 5, 7>();
  }
}

// Sums: tile 2 r + p for tile r of rows and panel p.
template <int kRowTiles, int kPanels>
inline __attribute__((always_inline)) void add_blocks(const SplitProduct& of) noexcept {
  for (int64_t b = 0; b < of.n_blocks; ++b) {
    const std::byte* weights = of.weights + static_cast<size_t>(b) * kSplitTileBytes;
    Tiles::load<6>(weights, 64);
    if constexpr (kPanels > 1) Tiles::load<7>(weights + of.panel_bytes, 64);
    add_part<kRowTiles, kPanels>(of.inputs[b].high, of.row_blocks);
    add_part<kRowTiles, kPanels>(of.inputs[b].low, of.row_blocks);
    for (int p = 0; p < kPanels; ++p) {
      const auto* panel = reinterpret_cast<const char*>(weights) + p * of.panel_bytes;
      for (size_t i = 0; i < kSplitTileBytes; i += 64) {
        _mm_prefetch(panel + kSplitAhead + i, _MM_HINT_T0);
      }
    }
  }
}

// A tile of sums in y.
struct TileSums {
  float* y;
  int64_t row_floats;  // from row to row
  int64_t n_rows;
  int64_t n_outputs;  // 16 or more: all of a row
};

template <int kTile>
inline void load_sums(const TileSums& at) noexcept {
  if (at.n_outputs >= kPanelOutputs) {
    return Tiles::load<kTile>(at.y, static_cast<size_t>(at.row_floats) * sizeof(float));
  }
  Vec sums[kTileRows];
  for (int64_t r = 0; r < at.n_rows; ++r) {
    sums[r] = load_row(at.y + r * at.row_floats, at.n_outputs);
  }
  Tiles::load<kTile>(sums, sizeof(Vec));
}

template <int kTile>
inline void store_sums(const TileSums& at) noexcept {
  if (at.n_outputs >= kPanelOutputs) {
    return Tiles::store<kTile>(at.y, static_cast<size_t>(at.row_floats) * sizeof(float));
  }
  Vec sums[kTileRows];
  Tiles::store<kTile>(sums, sizeof(Vec));
  for (int64_t r = 0; r < at.n_rows; ++r) {
    store_row(at.y + r * at.row_floats, sums[r], at.n_outputs);
  }
}

// Blocks [first, first + n_blocks) of up to 32 rows' inputs.
struct SplitSlice {
  int64_t row;
  int64_t n_rows;
  int64_t first;
  int64_t n_blocks;
};

// Adds the slice's part to the sums of kPanels panels. Those of earlier slices wait in y.
template <int kRowTiles, int kPanels>
void multiply_slice(const LinearCall& call, const SplitSlice& slice, int64_t panel) noexcept {
  const PackedLinear& w = *call.weights;
  const auto sums = [&](int r, int p) {
    const int64_t row = slice.row + r * kTileRows, output = (panel + p) * kPanelOutputs;
    const int64_t left = slice.n_rows - r * kTileRows;
    return TileSums{call.y.data() + row * call.y_stride + output, call.y_stride,
                    left < kTileRows ? left : kTileRows, w.n_outputs() - output};
  };
  if (slice.first == 0) {
    Tiles::zero<0>();
    Tiles::zero<1>();
    Tiles::zero<2>();
    Tiles::zero<3>();
  } else {
    load_sums<0>(sums(0, 0));
    if constexpr (kPanels > 1) load_sums<1>(sums(0, 1));
    if constexpr (kRowTiles > 1) load_sums<2>(sums(1, 0));
    if constexpr (kRowTiles > 1 && kPanels > 1) load_sums<3>(sums(1, 1));
  }
  const int64_t row_blocks = n_split_blocks(w.n_inputs());
  add_blocks<kRowTiles, kPanels>(
      {.inputs = call.split.data() + slice.row * row_blocks + slice.first,
       .row_blocks = row_blocks,
       .weights = w.panel(panel) + static_cast<size_t>(slice.first) * kSplitTileBytes,
       .panel_bytes = w.panel_bytes(),
       .n_blocks = slice.n_blocks});
  store_sums<0>(sums(0, 0));
  if constexpr (kPanels > 1) store_sums<1>(sums(0, 1));
  if constexpr (kRowTiles > 1) store_sums<2>(sums(1, 0));
  if constexpr (kRowTiles > 1 && kPanels > 1) store_sums<3>(sums(1, 1));
}

// Rows [row, row + n_rows), up to 32, of all panels of the call.
template <int kRowTiles>
void run_split_tile_rows(const LinearCall& call, int64_t row, int64_t n_rows) noexcept {
  constexpr int64_t kTogether = (512 << 10) / sizeof(SplitInputs);  // in L2 for all panels
  const int64_t step = kTogether / n_rows;
  const int64_t n_blocks = (call.weights->n_inputs() + kSplitInputs - 1) / kSplitInputs;
  Tiles::begin(n_rows);
  for (int64_t first = 0; first < n_blocks; first += step) {
    const int64_t left = n_blocks - first;
    const SplitSlice slice{row, n_rows, first, left < step ? left : step};
    int64_t panel = call.panel_begin;
    for (; panel + 2 <= call.panel_end; panel += 2) {
      multiply_slice<kRowTiles, 2>(call, slice, panel);
    }
    if (panel < call.panel_end) multiply_slice<kRowTiles, 1>(call, slice, panel);
  }
  Tiles::end();
}

void run_split_tiles(const LinearCall& call) noexcept {
  constexpr size_t kTogether = 1 << 20;  // bytes of panels that stay in L2 for all rows
  const auto fit = static_cast<int64_t>(kTogether / call.weights->panel_bytes()) / 2 * 2;
  LinearCall part = call;
  while (part.panel_begin < call.panel_end) {
    const int64_t end = part.panel_begin + (fit < 2 ? 2 : fit);
    part.panel_end = end < call.panel_end ? end : call.panel_end;
    for (int64_t row = 0; row < call.n_rows; row += 2 * kTileRows) {
      const int64_t left = call.n_rows - row;
      if (left > kTileRows) {
        run_split_tile_rows<2>(part, row, left < 2 * kTileRows ? left : 2 * kTileRows);
      } else {
        run_split_tile_rows<1>(part, row, left);
      }
    }
    part.panel_begin = part.panel_end;
  }
}

}  // namespace tq::kernels::TQ_ISA
