// linear() on bf16 weights with AMX's tiles. Included once per namespace TQ_ISA after
// linear_bf16_avx512.h, whose sums it computes to the bit, and a Tiles class with
//   begin(n_rows), end(): see amx_tiles.h,
//   zero<t>(), load<t>(from, stride), store<t>(to, stride),
//   dot_bf16<sum, a, b>(): sum[m][n] += the products of a's bf16 [m][k] with b's, of which row k /
//   2 holds two to each n.
// A test brings one in plain C++.
//
// Bytes moved: 32 inputs of a panel are 1 KiB of memory and a tile as they lie there. One row goes
// this way too, at the speed of memory. Many rows read each weight once per 256 of them, and the
// tile unit is the bound.

namespace tq::kernels::TQ_ISA {

constexpr int kTileRows = 16;
constexpr int kGroupRows = 2 * kTileRows;  // that share a load of weights

// A product of inputs with weights: rows from the first, kPanels panels, and n_blocks blocks.
struct SplitProduct {
  const SplitInputs* inputs;
  int64_t row_blocks;  // from row to row
  const std::byte* weights;
  size_t panel_bytes;  // from panel to panel
  int64_t n_blocks;
  // Each block of each panel prefetches so many lines of 64 bytes, one run from here on.
  const std::byte* ahead;
  int64_t ahead_lines;
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
      const std::byte* ahead = of.ahead + static_cast<size_t>(p) * of.panel_bytes;
      for (int64_t i = b * of.ahead_lines; i < (b + 1) * of.ahead_lines; ++i) {
        _mm_prefetch(reinterpret_cast<const char*>(ahead) + i * 64, _MM_HINT_T0);
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

// Blocks [first, first + n_blocks) of some rows' inputs.
struct SplitSlice {
  SplitRows rows;
  int64_t first;
  int64_t n_blocks;
};

// Adds the slice's part of up to 32 rows from `row` on to the sums of panels. Those of earlier
// slices wait in y.
template <int kRowTiles, int kPanels>
void multiply_group(const LinearCall& call,
                    const SplitSlice& slice,
                    SplitRows group,
                    int64_t panel) noexcept {
  const PackedLinear& w = *call.weights;
  const auto sums = [&](int r, int p) {
    const int64_t row = group.row + r * kTileRows, output = (panel + p) * kPanelOutputs;
    const int64_t left = group.n_rows - r * kTileRows;
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
  const std::byte* weights = w.panel(panel) + static_cast<size_t>(slice.first) * kSplitTileBytes;
  SplitProduct product{.inputs = call.split.data() + group.row * row_blocks + slice.first,
                       .row_blocks = row_blocks,
                       .weights = weights,
                       .panel_bytes = w.panel_bytes(),
                       .n_blocks = slice.n_blocks,
                       .ahead = weights + kSplitAhead,
                       .ahead_lines = kSplitTileBytes / 64};
  if (slice.rows.n_rows > kGroupRows) {
    // These panels are read again by the next group; each group prefetches a part of the next ones.
    const int64_t n_groups = (slice.rows.n_rows + kGroupRows - 1) / kGroupRows;
    const int64_t index = (group.row - slice.rows.row) / kGroupRows;
    product.ahead_lines = (product.ahead_lines + n_groups - 1) / n_groups;
    product.ahead = weights + kPanels * w.panel_bytes() +
                    static_cast<size_t>(index * slice.n_blocks * product.ahead_lines) * 64;
  }
  add_blocks<kRowTiles, kPanels>(product);
  store_sums<0>(sums(0, 0));
  if constexpr (kPanels > 1) store_sums<1>(sums(0, 1));
  if constexpr (kRowTiles > 1) store_sums<2>(sums(1, 0));
  if constexpr (kRowTiles > 1 && kPanels > 1) store_sums<3>(sums(1, 1));
}

template <int kPanels>
void multiply_slice(const LinearCall& call, const SplitSlice& slice, int64_t panel) noexcept {
  for (int64_t r = 0; r < slice.rows.n_rows; r += kGroupRows) {
    const int64_t left = slice.rows.n_rows - r;
    const SplitRows group{slice.rows.row + r, left < kGroupRows ? left : kGroupRows};
    Tiles::begin(group.n_rows);
    if (group.n_rows > kTileRows) {
      multiply_group<2, kPanels>(call, slice, group, panel);
    } else {
      multiply_group<1, kPanels>(call, slice, group, panel);
    }
  }
}

void run_split_tiles(const LinearCall& call) noexcept {
  // Inputs of 1 MiB stay in L2 while the panels pass by.
  constexpr int64_t kRowsTogether = 256;
  constexpr int64_t kBlocksTogether = (int64_t{1} << 20) / sizeof(SplitInputs);
  const int64_t n_blocks = (call.weights->n_inputs() + kSplitInputs - 1) / kSplitInputs;
  for (int64_t row = 0; row < call.n_rows; row += kRowsTogether) {
    const int64_t left = call.n_rows - row;
    const SplitRows rows{row, left < kRowsTogether ? left : kRowsTogether};
    const int64_t step = kBlocksTogether / rows.n_rows;
    for (int64_t first = 0; first < n_blocks; first += step) {
      const SplitSlice slice{rows, first, n_blocks - first < step ? n_blocks - first : step};
      int64_t panel = call.panel_begin;
      for (; panel + 2 <= call.panel_end; panel += 2) multiply_slice<2>(call, slice, panel);
      if (panel < call.panel_end) multiply_slice<1>(call, slice, panel);
    }
  }
  Tiles::end();
}

}  // namespace tq::kernels::TQ_ISA
