// linear() on 4-bit codes for many rows, with AMX's tiles. Included once per namespace TQ_ISA after
// linear_codes_avx512.h, linear_bf16_amx.h and what these want of a Tiles class, which has also
//   dot<sum, a, b>(): sum[m][n] += the products of a's signed bytes [m][k] with b's unsigned ones,
//   of which row k / 4 holds four to each n; dot_signed: b's are signed too.
//
// The integers are those of linear_codes_avx512.h, hence also the bits of every output: 16 high +
// low of an input is one product of 64 bytes, [high, low], with the codes [16 code, code]. Codes of
// 4 bits that have a zero are less that, and signed: these fit as well.
//
// A product's 256 sums go through memory to be scaled, block by block. The tile unit and vector
// arithmetic share a port, and interleaved they hold each other up: so a chunk's products come
// first, then their sums.

namespace tq::kernels::TQ_ISA {

constexpr int kChunk = 8;      // blocks of inputs taken at a time
constexpr int kGroup = 3;      // tiles of rows that codes once unpacked serve
constexpr int kSumPanels = 4;  // panels whose sums are kept until all chunks are added
// So a chunk's inputs, 24 KiB, stay in L1 for these panels, with 8 of codes and 8 of products.

static_assert(kTileRows == kCodedTileRows);

struct alignas(64) CodeTile {
  __m512i rows[16];
};

struct Chunk {
  CodeTile codes[kChunk];
  BlockScales scales[kChunk];
};

template <class Block>
inline void unpack_chunk(const Block* blocks, int n_blocks, Chunk& chunk) noexcept {
  const __m512i lower = _mm512_set1_epi8(15), upper = _mm512_slli_epi32(lower, 4);
  const __m512i zero = _mm512_set1_epi8(static_cast<char>(zero_of<Block>()));
  const __m512i upper_zero = _mm512_slli_epi32(zero, 4);
  for (int b = 0; b < n_blocks; ++b) {
    __m512i(&rows)[16] = chunk.codes[b].rows;
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) {
      const __m512i word = _mm512_loadu_si512(blocks[b].codes[j]);
      // 16 (code - 8) is 16 code with the other top bit.
      const __m512i even = _mm512_and_si512(_mm512_slli_epi32(word, 4), upper);
      rows[2 * j] = _mm512_xor_si512(even, upper_zero);
      rows[2 * j + 1] = _mm512_xor_si512(_mm512_and_si512(word, upper), upper_zero);
      const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(word, 4), lower);
      rows[8 + 2 * j] = _mm512_sub_epi8(_mm512_and_si512(word, lower), zero);
      rows[9 + 2 * j] = _mm512_sub_epi8(odd, zero);
    }
    chunk.scales[b] = scales_of(blocks[b]);
  }
}

// Integers of one block: [row][output].
struct alignas(64) Totals {
  int32_t of[kTileRows][kPanelOutputs];
};

template <class Block>
inline void multiply(const CodedRows& in,
                     const Chunk& chunk,
                     int n_blocks,
                     Totals (&totals)[kChunk]) noexcept {
#pragma GCC unroll 1
  for (int b = 0; b < n_blocks; ++b) {
    Tiles::zero<0>();
    Tiles::load<4>(in.inputs + b * kTileRows, sizeof(CodedInputs));
    Tiles::load<6>(&chunk.codes[b], 64);
    if constexpr (zero_of<Block>() == 0) {
      Tiles::dot<0, 4, 6>();
    } else {
      static_assert(zero_of<Block>() == 8);
      Tiles::dot_signed<0, 4, 6>();
    }
    Tiles::store<0>(&totals[b], 64);
  }
}

using TileSum = __m512[kTileRows];  // of one panel

// The first chunk's: `sum` holds nothing yet.
template <class Block>
inline void add_totals(const CodedRows& in,
                       const Chunk& chunk,
                       int n_blocks,
                       const Totals (&totals)[kChunk],
                       bool is_first,
                       TileSum& sum) noexcept {
  TileSum in_registers;
#pragma GCC unroll 16
  for (int r = 0; r < kTileRows; ++r) in_registers[r] = is_first ? _mm512_setzero_ps() : sum[r];
  for (int b = 0; b < n_blocks; ++b) {
#pragma GCC unroll 16
    for (int r = 0; r < kTileRows; ++r) {
      add_scaled<Block>(chunk.scales[b], in, b * kTileRows + r, _mm512_load_si512(totals[b].of[r]),
                        in_registers[r]);
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < kTileRows; ++r) sum[r] = in_registers[r];
}

// Rows from `row` on, n_tiles times 16, of n_panels panels.
struct CodedGroup {
  int64_t row;
  int n_tiles;
  int64_t panel;
  int n_panels;
};

using GroupSums = TileSum[kSumPanels][kGroup];

template <class Block>
inline void add_chunk(const LinearCall& call,
                      const CodedGroup& group,
                      int64_t first,
                      GroupSums& sums) noexcept {
  const int64_t n_blocks = call.weights->n_inputs() / kCodeInputs;
  const auto n = static_cast<int>(n_blocks - first < kChunk ? n_blocks - first : kChunk);
  Chunk chunk;
  Totals totals[kChunk];
  for (int p = 0; p < group.n_panels; ++p) {
    unpack_chunk(reinterpret_cast<const Block*>(call.weights->panel(group.panel + p)) + first, n,
                 chunk);
    for (int t = 0; t < group.n_tiles; ++t) {
      const CodedRows in =
          call.coded.from((group.row + t * kTileRows) * n_blocks + first * kTileRows);
      multiply<Block>(in, chunk, n, totals);
      add_totals<Block>(in, chunk, n, totals, first == 0, sums[p][t]);
    }
  }
}

template <class Block>
void run_coded_group(const LinearCall& call, const CodedGroup& group) noexcept {
  GroupSums sums;
  const int64_t n_blocks = call.weights->n_inputs() / kCodeInputs;
  for (int64_t first = 0; first < n_blocks; first += kChunk) {
    add_chunk<Block>(call, group, first, sums);
  }
  for (int p = 0; p < group.n_panels; ++p) {
    const int64_t output = (group.panel + p) * kPanelOutputs;
    for (int r = 0; r < group.n_tiles * kTileRows; ++r) {
      store_row(call.y.data() + (group.row + r) * call.y_stride + output,
                (Vec)sums[p][r / kTileRows][r % kTileRows], call.weights->n_outputs() - output);
    }
  }
}

template <class Block>
void run_tiles(const LinearCall& call) noexcept {
  const int64_t n_tiles = call.n_rows / kTileRows, n_tiled = n_tiles * kTileRows;
  if (n_tiles > 0) {
    Tiles::begin(2 * kTileRows);
    for (int64_t tile = 0; tile < n_tiles; tile += kGroup) {
      const int64_t tiles = n_tiles - tile < kGroup ? n_tiles - tile : kGroup;
      for (int64_t panel = call.panel_begin; panel < call.panel_end; panel += kSumPanels) {
        const int64_t panels = call.panel_end - panel;
        run_coded_group<Block>(call, {tile * kTileRows, static_cast<int>(tiles), panel,
                                      static_cast<int>(panels < kSumPanels ? panels : kSumPanels)});
      }
    }
    Tiles::end();
  }
  if (n_tiled == call.n_rows) return;
  LinearCall rest = call;
  const PackedLinear& w = *call.weights;
  rest.n_rows -= n_tiled;
  rest.x = call.x.subspan(static_cast<size_t>(n_tiled * w.n_inputs()));
  rest.coded = call.coded.from(n_tiled * w.n_inputs() / kCodeInputs);
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
