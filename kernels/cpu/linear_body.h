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

// Words of a block that hold inputs 8 word + i, i in [0, 8), of the outputs of a vector, and the
// codes of these.
template <class Block>
struct Codes {
  void read(const Block& block, int word, int lane) noexcept {
    nibbles = load<Words>(block.codes[word] + lane);
  }
  Words at(int i) const noexcept { return nibbles >> 4 * i & 15; }
  Words nibbles;
};

template <>
struct Codes<PanelQ5_1> {
  void read(const PanelQ5_1& block, int word, int lane) noexcept {
    nibbles = load<Words>(block.codes[word] + lane);
    upper = load<Words>(block.upper + lane) >> 2 * word;
  }
  Words at(int i) const noexcept {
    return (nibbles >> 4 * i & 15) | (upper >> (i / 2 * 8 + i % 2) & 1) << 4;
  }
  Words nibbles, upper;
};

template <>
struct Codes<PanelQ6_K> {
  void read(const PanelQ6_K& block, int word, int lane) noexcept {
    nibbles = load<Words>(block.codes[word] + lane);
    upper = load<Words>(block.upper[word / 2] + lane) >> word % 2 * 4;
  }
  Words at(int i) const noexcept {
    return (nibbles >> 4 * i & 15) | (upper >> (i / 2 * 8 + i % 2 * 2) & 3) << 4;
  }
  Words nibbles, upper;
};

template <>
struct Codes<PanelQ8_0> {
  void read(const PanelQ8_0& block, int word, int lane) noexcept {
    for (int i = 0; i < 2; ++i) words[i] = load<Words>(block.codes[2 * word + i] + lane);
  }
  Words at(int i) const noexcept { return words[i % 2] >> i / 2 * 8 & 255; }
  Words words[2];
};

template <class Block, int kPanels, class Use>
inline __attribute__((always_inline)) void each_code(Panels from, Use use) noexcept {
  constexpr int kVectors = kPanels * kVecs;
  constexpr int kInputs = kCodeInputs / Block::kScales;  // that share a scale
  for (int64_t k = 0; k < from.n_inputs; k += kInputs) {
    const auto part = static_cast<int>(k % kCodeInputs / kInputs);
    Vec d[kVectors];
    Vec m[kVectors];
    for (int i = 0; i < kVectors; ++i) {
      const Block& block = block_at<Block>(from, i / kVecs, k);
      const int lane = i % kVecs * kLanes;
      d[i] = Decode::halves(block.d[part] + lane);
      if constexpr (requires { block.m; }) {
        m[i] = Decode::halves(block.m + lane);
      } else {
        m[i] = -Block::kZero * d[i];  // both it and the sum, d code - zero d, are exact
      }
    }
    for (int in = 0; in < kInputs; in += 8) {
      Codes<Block> codes[kVectors];
      for (int i = 0; i < kVectors; ++i) {
        codes[i].read(block_at<Block>(from, i / kVecs, k), (part * kInputs + in) / 8,
                      i % kVecs * kLanes);
      }
#pragma GCC unroll 8
      for (int j = 0; j < 8; ++j) {
        Vec weights[kVectors];
        for (int i = 0; i < kVectors; ++i) {
          weights[i] = __builtin_convertvector((Ints)codes[i].at(j), Vec) * d[i] + m[i];
        }
        use(weights, k + in + j);
      }
    }
  }
}

template <PackedType kType, int kPanels, class Use>
inline __attribute__((always_inline)) void each_input(Panels from, Use use) noexcept {
  if constexpr (kType == PackedType::kF32) each_f32<kPanels>(from, use);
  if constexpr (kType == PackedType::kBf16) each_bf16<kPanels>(from, use);
  if constexpr (kType == PackedType::kQ4_0) each_code<PanelQ4_0, kPanels>(from, use);
  if constexpr (kType == PackedType::kQ4_1) each_code<PanelQ4_1, kPanels>(from, use);
  if constexpr (kType == PackedType::kQ5_1) each_code<PanelQ5_1, kPanels>(from, use);
  if constexpr (kType == PackedType::kQ6_K) each_code<PanelQ6_K, kPanels>(from, use);
  if constexpr (kType == PackedType::kQ8_0) each_code<PanelQ8_0, kPanels>(from, use);
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
  const float* x = call.x.data() + tile.row * n_inputs + tile.begin;
  float* y = call.y.data() + tile.row * call.y_stride + tile.panel * kPanelOutputs;
  const int64_t n = call.weights->n_outputs() - tile.panel * kPanelOutputs;  // from y on in a row

  Sums<kRows, kPanels> sum{};
  for (int r = 0; tile.begin > 0 && r < kRows; ++r) {
    for (int p = 0; p < kPanels; ++p) {
      const int output = p * kPanelOutputs;
      copy_sums((float*)&sum[r][p * kVecs], y + r * call.y_stride + output, n - output);
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
      copy_sums(y + r * call.y_stride + output, (const float*)&sum[r][p * kVecs], n - output);
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

// linear() of a namespace with kernels of its own for codes: codes.operator()<Block>().
template <class RunCodes>
inline void run_by_type(const LinearCall& call, RunCodes codes) noexcept {
  switch (call.weights->type()) {
    case PackedType::kF32: return run<PackedType::kF32>(call);
    case PackedType::kBf16: return run<PackedType::kBf16>(call);
    case PackedType::kQ4_0: return codes.template operator()<PanelQ4_0>();
    case PackedType::kQ4_1: return codes.template operator()<PanelQ4_1>();
    case PackedType::kQ5_1: return codes.template operator()<PanelQ5_1>();
    case PackedType::kQ6_K: return codes.template operator()<PanelQ6_K>();
    case PackedType::kQ8_0: return codes.template operator()<PanelQ8_0>();
  }
}

// code_inputs() of such a namespace: code(x, coded), of one block.
template <class CodeBlock>
inline void code_each_block(const CodeInputsCall& call, CodeBlock code) noexcept {
  const int64_t n_blocks = call.n_inputs / kCodeInputs;
  const int64_t n_rows = static_cast<int64_t>(call.x.size()) / call.n_inputs;
  const float* x = call.x.data() + call.row_begin * call.n_inputs;
  for (int64_t row = call.row_begin; row < call.row_end; ++row) {
    const CodedRow place = coded_row(row, n_rows, n_blocks);
    for (int64_t b = 0; b < n_blocks; ++b, x += kCodeInputs) {
      code(x, call.coded.from(place.first + b * place.step));
    }
  }
}

// linear() of a namespace whose kernels widen codes.
inline void widen_and_run(const LinearCall& call) noexcept {
  switch (call.weights->type()) {
    case PackedType::kF32: return run<PackedType::kF32>(call);
    case PackedType::kBf16: return run<PackedType::kBf16>(call);
    case PackedType::kQ4_0: return run<PackedType::kQ4_0>(call);
    case PackedType::kQ4_1: return run<PackedType::kQ4_1>(call);
    case PackedType::kQ5_1: return run<PackedType::kQ5_1>(call);
    case PackedType::kQ6_K: return run<PackedType::kQ6_K>(call);
    case PackedType::kQ8_0: return run<PackedType::kQ8_0>(call);
  }
}

}  // namespace tq::kernels::TQ_ISA
