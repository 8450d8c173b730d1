// Products with fp32 weights, widened where they are stored otherwise; compiled once per
// instruction set by linear_{scalar,avx2,avx512}.cpp after linear_lanes.h, whose rules it shares,
// and after Decode, kRowsMax and kSumsMax of its namespace.
//
// Bytes moved: few rows read each weight once and widen it in registers. Many rows widen a slice of
// four panels into 64 KiB of stack once, of which a tile's part stays in L1 for all of them, and
// the FMA units are the bound.

namespace tq::kernels::TQ_ISA {

// Sums of kRows rows over kPanels panels. Each output's sum runs over k in ascending order in one
// accumulator, so its bits do not depend on kRows, kPanels, slices or the row's place.
template <int kRows, int kPanels>
using Sums = Vec[kRows][kPanels * kVecs];

// Weights of neighbouring panels, from the same input on.
struct Panels {
  const std::byte* first;
  size_t panel_bytes;  // from one to the next
  int64_t n_inputs;
};

template <class Block>
inline __attribute__((always_inline)) const Block& block_at(Panels from,
                                                            int p,
                                                            int64_t k) noexcept {
  const std::byte* panel = from.first + static_cast<size_t>(p) * from.panel_bytes;
  return reinterpret_cast<const Block*>(panel)[k / kCodeInputs];
}

// use(weights, k) for each input k in ascending order; weights: of all outputs of kPanels panels.
template <int kPanels, class Use>
inline __attribute__((always_inline)) void each_f32(Panels from, Use use) noexcept {
  for (int64_t k = 0; k < from.n_inputs; ++k) {
    Vec weights[kPanels * kVecs];
    for (int i = 0; i < kPanels * kVecs; ++i) {
      weights[i] = load<Vec>(from.first + static_cast<size_t>(i / kVecs) * from.panel_bytes +
                             (k * kVecs + i % kVecs) * TQ_VECTOR_BYTES);
    }
    use(weights, k);
  }
}

template <int kPanels, class Use>
inline __attribute__((always_inline)) void each_bf16(Panels from, Use use) noexcept {
  for (int64_t k = 0; k < from.n_inputs; k += 2) {
    Vec even[kPanels * kVecs];
    Vec odd[kPanels * kVecs];
    for (int i = 0; i < kPanels * kVecs; ++i) {
      const auto words =
          load<Words>(from.first + static_cast<size_t>(i / kVecs) * from.panel_bytes +
                      (k / 2 * kVecs + i % kVecs) * TQ_VECTOR_BYTES);
      even[i] = (Vec)(words << 16);
      odd[i] = (Vec)(words & 0xffff0000u);
    }
    use(even, k);
    if (k + 1 < from.n_inputs) use(odd, k + 1);
  }
}

// Block: PanelQ4_0 or PanelQ4_1. The minimum of the former is -8 d: both it and the sum
// d code - 8 d are exact.
template <class Block, int kPanels, class Use>
inline __attribute__((always_inline)) void each_nibble(Panels from, Use use) noexcept {
  for (int64_t k = 0; k < from.n_inputs; k += kCodeInputs) {
    Vec d[kPanels * kVecs];
    Vec m[kPanels * kVecs];
    for (int i = 0; i < kPanels * kVecs; ++i) {
      const Block& block = block_at<Block>(from, i / kVecs, k);
      const int lane = i % kVecs * kLanes;
      d[i] = Decode::halves(block.d + lane);
      if constexpr (requires { block.m; }) {
        m[i] = Decode::halves(block.m + lane);
      } else {
        m[i] = -Block::kZero * d[i];
      }
    }
    for (int word = 0; word < kCodeInputs / 8; ++word) {
      Words words[kPanels * kVecs];
      for (int i = 0; i < kPanels * kVecs; ++i) {
        words[i] =
            load<Words>(block_at<Block>(from, i / kVecs, k).codes[word] + i % kVecs * kLanes);
      }
      for (int nibble = 0; nibble < 8; ++nibble) {
        Vec weights[kPanels * kVecs];
        for (int i = 0; i < kPanels * kVecs; ++i) {
          weights[i] = Decode::nibbles(words[i]) * d[i] + m[i];
          words[i] >>= 4;
        }
        use(weights, k + 8 * word + nibble);
      }
    }
  }
}

template <int kPanels, class Use>
inline __attribute__((always_inline)) void each_byte(Panels from, Use use) noexcept {
  for (int64_t k = 0; k < from.n_inputs; k += kCodeInputs) {
    Vec d[kPanels * kVecs];
    for (int i = 0; i < kPanels * kVecs; ++i) {
      d[i] = Decode::halves(block_at<PanelQ8_0>(from, i / kVecs, k).d + i % kVecs * kLanes);
    }
    for (int in = 0; in < kCodeInputs; ++in) {
      Vec weights[kPanels * kVecs];
      for (int i = 0; i < kPanels * kVecs; ++i) {
        const PanelQ8_0& block = block_at<PanelQ8_0>(from, i / kVecs, k);
        const auto words = load<Words>(block.codes[in / 8 * 2 + in % 2] + i % kVecs * kLanes);
        weights[i] = (Decode::bytes(words >> in % 8 / 2 * 8) - PanelQ8_0::kZero) * d[i];
      }
      use(weights, k + in);
    }
  }
}

template <PackedType kType, int kPanels, class Use>
inline __attribute__((always_inline)) void each_input(Panels from, Use use) noexcept {
  if constexpr (kType == PackedType::kF32) each_f32<kPanels>(from, use);
  if constexpr (kType == PackedType::kBf16) each_bf16<kPanels>(from, use);
  if constexpr (kType == PackedType::kQ4_0) each_nibble<PanelQ4_0, kPanels>(from, use);
  if constexpr (kType == PackedType::kQ4_1) each_nibble<PanelQ4_1, kPanels>(from, use);
  if constexpr (kType == PackedType::kQ8_0) each_byte<kPanels>(from, use);
}

// Some rows' part of the sums of some panels: inputs [begin, begin + weights.n_inputs).
struct Tile {
  Panels weights;
  int64_t panel;
  int64_t row;
  int64_t begin;
};

// A panel's sums to or from y, which has fewer in the last panel.
inline __attribute__((always_inline)) void copy_sums(float* to,
                                                     const float* from,
                                                     int64_t n) noexcept {
  if (n >= kPanelOutputs) {
    __builtin_memcpy(to, from, kPanelOutputs * sizeof(float));  // a few moves, no call
  } else {
    __builtin_memcpy(to, from, static_cast<size_t>(n) * sizeof(float));
  }
}

// Sums of earlier inputs wait in y.
template <PackedType kType, int kRows, int kPanels>
void run_tile(const LinearCall& call, const Tile& tile) noexcept {
  const int64_t n_inputs = call.weights->n_inputs();
  const int64_t n_outputs = call.weights->n_outputs();
  const float* x = call.x.data() + tile.row * n_inputs + tile.begin;
  float* y = call.y.data() + tile.row * n_outputs + tile.panel * kPanelOutputs;
  const int64_t n = n_outputs - tile.panel * kPanelOutputs;  // outputs from y on in a row

  Sums<kRows, kPanels> sum{};
  for (int r = 0; tile.begin > 0 && r < kRows; ++r) {
    for (int p = 0; p < kPanels; ++p) {
      const int output = p * kPanelOutputs;
      copy_sums((float*)&sum[r][p * kVecs], y + r * n_outputs + output, n - output);
    }
  }
  each_input<kType, kPanels>(
      tile.weights, [&](const Vec* weights, int64_t k) __attribute__((always_inline)) {
        for (int r = 0; r < kRows; ++r) {
          const Vec broadcast =
              x[r * n_inputs + k] - Vec{};  // costs nothing; 0 + x is not x for -0
          for (int i = 0; i < kPanels * kVecs; ++i) sum[r][i] += weights[i] * broadcast;
        }
      });
  for (int r = 0; r < kRows; ++r) {
    for (int p = 0; p < kPanels; ++p) {
      const int output = p * kPanelOutputs;
      copy_sums(y + r * n_outputs + output, (const float*)&sum[r][p * kVecs], n - output);
    }
  }
}

// Rows [tile.row, ...) in groups of kRows while they last, over kGroup panels (1 or 4), as many at
// a time as registers hold: at least eight sums in flight hide the latency of their FMA chains.
// Codes keep a panel's scales, minima and words beside its sums.
template <PackedType kType, int kRows, int kGroup>
void run_rows(const LinearCall& call, Tile& tile) noexcept {
  constexpr int kBeside = is_codes(kType) ? 3 : 0;
  constexpr int kFit = kSumsMax / ((kRows > kBeside ? kRows : kBeside) * kVecs);
  constexpr int kPanels = kGroup == 1 || kFit < 2 ? 1 : kFit < 4 ? 2 : 4;
  const int64_t end = call.n_rows - (call.n_rows - tile.row) % kRows;
  for (int p = 0; p < kGroup; p += kPanels) {  // a tile's weights stay in L1 for all rows
    Tile part = tile;
    part.panel += p;
    part.weights.first += static_cast<size_t>(p) * tile.weights.panel_bytes;
    for (; part.row < end; part.row += kRows) run_tile<kType, kRows, kPanels>(call, part);
  }
  tile.row = end;
}

template <PackedType kType, int kGroup>
void run_all_rows(const LinearCall& call, Tile tile) noexcept {
  run_rows<kType, kRowsMax, kGroup>(call, tile);
  if constexpr (kRowsMax > 4) run_rows<kType, 4, kGroup>(call, tile);
  run_rows<kType, 2, kGroup>(call, tile);
  run_rows<kType, 1, kGroup>(call, tile);
}

// Many rows: the weights of some inputs at a time become floats once for all rows.
template <PackedType kType, int kGroup>
void run_slices(const LinearCall& call, int64_t panel) noexcept {
  constexpr int64_t kSlice = 256;
  constexpr size_t kSliceBytes = panel_prefix_bytes(kType, kSlice);
  alignas(64) float slice[kGroup][kSlice][kPanelOutputs];
  const PackedLinear& w = *call.weights;
  for (int64_t begin = 0; begin < w.n_inputs(); begin += kSlice) {
    const int64_t left = w.n_inputs() - begin;
    const int64_t n = left < kSlice ? left : kSlice;
    const Panels stored{w.panel(panel) + begin / kSlice * kSliceBytes, w.panel_bytes(), n};
    each_input<kType, kGroup>(
        stored, [&](const Vec* weights, int64_t k) __attribute__((always_inline)) {
          for (int i = 0; i < kGroup * kVecs; ++i) {
            __builtin_memcpy(&slice[i / kVecs][k][i % kVecs * kLanes], &weights[i], sizeof(Vec));
          }
        });
    const Panels widened{reinterpret_cast<const std::byte*>(slice), sizeof(slice[0]), n};
    run_all_rows<PackedType::kF32, kGroup>(call, {widened, panel, 0, begin});
  }
}

template <PackedType kType, int kGroup>
void run_group(const LinearCall& call, int64_t panel) noexcept {
  if (call.n_rows >= 4 * kRowsMax) return run_slices<kType, kGroup>(call, panel);
  const PackedLinear& w = *call.weights;
  run_all_rows<kType, kGroup>(call, {{w.panel(panel), w.panel_bytes(), w.n_inputs()}, panel, 0, 0});
}

template <PackedType kType>
void run(const LinearCall& call) noexcept {
  constexpr int kGroup = 4;
  int64_t panel = call.panel_begin;
  for (; panel + kGroup <= call.panel_end; panel += kGroup) run_group<kType, kGroup>(call, panel);
  for (; panel < call.panel_end; ++panel) run_group<kType, 1>(call, panel);
}

// linear() of a namespace whose kernels widen codes.
inline void widen_and_run(const LinearCall& call) noexcept {
  switch (call.weights->type()) {
    case PackedType::kF32: return run<PackedType::kF32>(call);
    case PackedType::kBf16: return run<PackedType::kBf16>(call);
    case PackedType::kQ4_0: return run<PackedType::kQ4_0>(call);
    case PackedType::kQ4_1: return run<PackedType::kQ4_1>(call);
    case PackedType::kQ8_0: return run<PackedType::kQ8_0>(call);
  }
}

}  // namespace tq::kernels::TQ_ISA
