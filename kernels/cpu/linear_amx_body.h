// linear() on 4-bit codes for many rows, with AMX's tiles. Included once per namespace TQ_ISA after
// linear_codes_avx512.h, linear_bf16_amx.h and what these want of a Tiles class, which has also
//   dot<sum, a, b>(): sum[m][n] += the products of a's signed bytes [m][k] with b's unsigned ones,
//   of which row k / 4 holds four to each n; dot_signed: b's are signed too.
//
// The integers are those of linear_codes_avx512.h, hence also the bits of every output: 16 high +
// low of an input is one product of 64 bytes, [high, low], with the codes [16 code, code]. Codes of
// 4 bits that have a zero are less that, and signed: these fit as well.

namespace tq::kernels::TQ_ISA {

constexpr int kChunk = 8;  // blocks whose codes are unpacked at a time
// Their inputs of so many rows, 27 KiB, stay in L1 for all panels; but come from L2 where rows lie
// a multiple of 4096 bytes apart (2048 inputs), for some 6 % of the time.
constexpr int kGroupRows = 48;

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
    CodeWords words;
    unpack(blocks[b], words);
    const __m512i zero = _mm512_set1_epi8(static_cast<char>(zero_of<Block>()));
    for (int w = 0; w < 8; ++w) {
      // 16 (code - 8) is 16 code with the other top bit.
      chunk.codes[b].rows[w] =
          _mm512_xor_si512(_mm512_slli_epi32(words[w], 4), _mm512_slli_epi32(zero, 4));
      chunk.codes[b].rows[8 + w] = _mm512_sub_epi8(words[w], zero);
    }
    chunk.scales[b] = scales_of(blocks[b]);
  }
}

// Sums of one block: [row][output].
struct alignas(64) Totals {
  int32_t of[kTileRows][kPanelOutputs];
};

// What 16 rows need of a chunk: their inputs and the scales of these, rows n_blocks apart.
struct TileRows {
  const CodedInputs* inputs;
  const InputScale* scales;
  int64_t n_blocks;
};

template <class Block, int kSum>
inline __attribute__((always_inline)) void multiply(const TileRows& rows,
                                                    const Chunk& chunk,
                                                    int b,
                                                    Totals& totals) noexcept {
  constexpr int kA = 4 + kSum % 2, kB = 6 + kSum % 2;
  Tiles::zero<kSum>();
  Tiles::load<kA>(rows.inputs + b, static_cast<size_t>(rows.n_blocks) * sizeof(CodedInputs));
  Tiles::load<kB>(&chunk.codes[b], 64);
  if constexpr (zero_of<Block>() == 0) {
    Tiles::dot<kSum, kA, kB>();
  } else {
    static_assert(zero_of<Block>() == 8);
    Tiles::dot_signed<kSum, kA, kB>();
  }
  Tiles::store<kSum>(&totals, 64);
}

// Blocks b and b + 1, with tiles 2 kPair and 2 kPair + 1 for the sums.
template <class Block, int kPair>
inline __attribute__((always_inline)) void multiply_pair(const TileRows& rows,
                                                         const Chunk& chunk,
                                                         int b,
                                                         Totals (&totals)[4]) noexcept {
  multiply<Block, 2 * kPair>(rows, chunk, b, totals[2 * kPair]);
  if (b + 1 < chunk.n_blocks) {
    multiply<Block, 2 * kPair + 1>(rows, chunk, b + 1, totals[2 * kPair + 1]);
  }
}

template <class Block, int kPair>
inline __attribute__((always_inline)) void add_pair(const TileRows& rows,
                                                    const Chunk& chunk,
                                                    int b,
                                                    const Totals (&totals)[4],
                                                    __m512 (&sum)[kTileRows]) noexcept {
  for (int i = 0; i < 2 && b + i < chunk.n_blocks; ++i) {
#pragma GCC unroll 16
    for (int r = 0; r < kTileRows; ++r) {
      add_scaled<Block>(chunk.scales[b + i], rows.scales[r * rows.n_blocks + b + i],
                        _mm512_loadu_si512(totals[2 * kPair + i].of[r]), sum[r]);
    }
  }
}

// Adds a chunk's part to the sums of 16 rows. While two products are added, the next two run.
template <class Block>
inline __attribute__((always_inline)) void run_tile_rows(const TileRows& rows,
                                                         const Chunk& chunk,
                                                         __m512 (&sum)[kTileRows]) noexcept {
  Totals totals[4];
  multiply_pair<Block, 0>(rows, chunk, 0, totals);
  for (int b = 0; b < chunk.n_blocks; b += 4) {
    if (b + 2 < chunk.n_blocks) multiply_pair<Block, 1>(rows, chunk, b + 2, totals);
    add_pair<Block, 0>(rows, chunk, b, totals, sum);
    if (b + 4 < chunk.n_blocks) multiply_pair<Block, 0>(rows, chunk, b + 4, totals);
    add_pair<Block, 1>(rows, chunk, b + 2, totals, sum);
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
        float* y = call.y.data() + row * call.y_stride + panel * kPanelOutputs;
        const int64_t at = row * n_blocks + first;
        __m512 sum[kTileRows];
        for (int r = 0; r < kTileRows; ++r) {
          sum[r] = first == 0 ? _mm512_setzero_ps() : (__m512)load_row(y + r * call.y_stride, n);
        }
        run_tile_rows<Block>({call.coded.data() + at, call.scales.data() + at, n_blocks}, chunk,
                             sum);
        for (int r = 0; r < kTileRows; ++r) store_row(y + r * call.y_stride, (Vec)sum[r], n);
      }
    }
  }
}

template <class Block>
void run_tiles(const LinearCall& call) noexcept {
  const int64_t n_tiled = call.n_rows / kTileRows * kTileRows;
  if (n_tiled > 0) {
    Tiles::begin(2 * kTileRows);
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
  const auto n_blocks = static_cast<size_t>(n_tiled * w.n_inputs() / kCodeInputs);
  rest.coded = call.coded.subspan(n_blocks);
  rest.scales = call.scales.subspan(n_blocks);
  rest.y = call.y.subspan(static_cast<size_t>(n_tiled * call.y_stride));
  run_codes<Block>(rest);
}

void tiled_linear(const LinearCall& call) noexcept {
  switch (call.weights->type()) {
    case PackedType::kBf16: return run_split_tiles(call);
    case PackedType::kQ4_0: return run_tiles<PanelQ4_0>(call);
    case PackedType::kQ4_1: return run_tiles<PanelQ4_1>(call);
    default: return linear(call);  // 16 times a code of more bits is no byte
  }
}

}  // namespace tq::kernels::TQ_ISA
