// linear() on 4-bit codes for many rows, with AMX's tiles. Included once per namespace TQ_ISA after
// linear_codes_avx512.h and a Tiles class: tiles of 16 rows of 64 bytes, and
//   zero<t>(), load<t>(from, stride), store<t>(to, stride),
//   dot<sum, a, b>(): sum[m][n] += the products of a's signed bytes [m][k] with b's unsigned ones,
//   of which row k / 4 holds four to each n.
// A test brings one in plain C++.
//
// The integers are those of linear_codes_avx512.h, hence also the bits of every output: 16 high +
// low of an input is one product of 64 bytes, [high, low], with the codes [16 code, code].

namespace tq::kernels::TQ_ISA {

constexpr int kTileRows = 16;
constexpr int kChunk = 8;       // blocks whose codes are unpacked at a time
constexpr int kGroupRows = 48;  // their inputs of so many rows, 30 KiB, stay in L1 for all panels

struct alignas(64) CodeTile {
  __m512i rows[16];
};

struct Chunk {
  CodeTile codes[kChunk];
  BlockScales scales[kChunk];
  int n_blocks;
};

template <class Block>
inline void unpack_chunk(const Block* blocks, int n_blocks, Chunk& chunk) noexcept {
  chunk.n_blocks = n_blocks;
  for (int b = 0; b < n_blocks; ++b) {
    __m512i words[8];
    unpack(blocks[b].codes, words);
    for (int w = 0; w < 8; ++w) {
      chunk.codes[b].rows[w] = _mm512_slli_epi32(words[w], 4);
      chunk.codes[b].rows[8 + w] = words[w];
    }
    chunk.scales[b] = scales_of(blocks[b]);
  }
}

// Sums of one block: [row][output].
struct alignas(64) Totals {
  int32_t of[kTileRows][kPanelOutputs];
};

template <int kSum>
inline void multiply(const CodedInputs* inputs,
                     size_t row_bytes,
                     const CodeTile& codes,
                     Totals& totals) noexcept {
  constexpr int kA = 4 + kSum % 2, kB = 6 + kSum % 2;
  Tiles::zero<kSum>();
  Tiles::load<kA>(inputs->high, row_bytes);
  Tiles::load<kB>(&codes, 64);
  Tiles::dot<kSum, kA, kB>();
  Tiles::store<kSum>(&totals, 64);
}

inline void add_block(const Totals& totals,
                      const BlockScales& scales,
                      const CodedInputs* inputs,
                      int64_t n_blocks,
                      __m512 (&sum)[kTileRows]) noexcept {
#pragma GCC unroll 16
  for (int r = 0; r < kTileRows; ++r) {
    add_scaled(scales, inputs[r * n_blocks], _mm512_loadu_si512(totals.of[r]), sum[r]);
  }
}

// Adds a chunk's part to the sums of 16 rows. Four products are under way before the first is used.
inline void run_tile_rows(const Chunk& chunk,
                          const CodedInputs* inputs,
                          int64_t n_blocks,
                          __m512 (&sum)[kTileRows]) noexcept {
  const size_t row_bytes = static_cast<size_t>(n_blocks) * sizeof(CodedInputs);
  Totals totals[4];
  for (int b = 0; b < chunk.n_blocks; b += 4) {
    const int n = chunk.n_blocks - b < 4 ? chunk.n_blocks - b : 4;
    multiply<0>(inputs + b, row_bytes, chunk.codes[b], totals[0]);
    if (n > 1) multiply<1>(inputs + b + 1, row_bytes, chunk.codes[b + 1], totals[1]);
    if (n > 2) multiply<2>(inputs + b + 2, row_bytes, chunk.codes[b + 2], totals[2]);
    if (n > 3) multiply<3>(inputs + b + 3, row_bytes, chunk.codes[b + 3], totals[3]);
    for (int i = 0; i < n; ++i) {
      add_block(totals[i], chunk.scales[b + i], inputs + b + i, n_blocks, sum);
    }
  }
}

// Rows [begin, end), a multiple of 16, of all panels of the call. Partial sums wait in y.
template <class Block>
void run_tile_group(const LinearCall& call, int64_t begin, int64_t end) noexcept {
  const int64_t n_blocks = call.weights->n_inputs() / kCodeInputs;
  const int64_t n_outputs = call.weights->n_outputs();
  Chunk chunk;
  for (int64_t first = 0; first < n_blocks; first += kChunk) {
    const int64_t left = n_blocks - first;
    for (int64_t panel = call.panel_begin; panel < call.panel_end; ++panel) {
      unpack_chunk(reinterpret_cast<const Block*>(call.weights->panel(panel)) + first,
                   static_cast<int>(left < kChunk ? left : kChunk), chunk);
      const int64_t n = n_outputs - panel * kPanelOutputs;
      for (int64_t row = begin; row < end; row += kTileRows) {
        float* y = call.y.data() + row * n_outputs + panel * kPanelOutputs;
        __m512 sum[kTileRows];
        for (int r = 0; r < kTileRows; ++r) {
          sum[r] = first == 0 ? _mm512_setzero_ps() : (__m512)load_row(y + r * n_outputs, n);
        }
        run_tile_rows(chunk, call.coded.data() + row * n_blocks + first, n_blocks, sum);
        for (int r = 0; r < kTileRows; ++r) store_row(y + r * n_outputs, (Vec)sum[r], n);
      }
    }
  }
}

template <class Block>
void run_tiles(const LinearCall& call) noexcept {
  const int64_t n_tiled = call.n_rows / kTileRows * kTileRows;
  if (n_tiled > 0) {
    Tiles::begin();
    for (int64_t begin = 0; begin < n_tiled; begin += kGroupRows) {
      run_tile_group<Block>(call, begin,
                            begin + kGroupRows < n_tiled ? begin + kGroupRows : n_tiled);
    }
    Tiles::end();
  }
  if (n_tiled == call.n_rows) return;
  LinearCall rest = call;
  const PackedLinear& w = *call.weights;
  rest.n_rows -= n_tiled;
  rest.x = call.x.subspan(static_cast<size_t>(n_tiled * w.n_inputs()));
  rest.coded = call.coded.subspan(static_cast<size_t>(n_tiled * w.n_inputs() / kCodeInputs));
  rest.y = call.y.subspan(static_cast<size_t>(n_tiled * w.n_outputs()));
  run_codes<Block>(rest);
}

void tiled_linear(const LinearCall& call) noexcept {
  switch (call.weights->type()) {
    case PackedType::kQ4_0: return run_tiles<PanelQ4_0>(call);
    case PackedType::kQ4_1: return run_tiles<PanelQ4_1>(call);
    default: return linear(call);  // 16 times a code of 8 bits is no byte
  }
}

}  // namespace tq::kernels::TQ_ISA
