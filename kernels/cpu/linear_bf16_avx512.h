// linear() on bf16 weights and split_inputs() for AVX-512. Included once per namespace TQ_ISA after
// row_body.h and the intrinsics; a test includes software versions of these first.
//
// An output is one fp32 sum over blocks of 32 inputs, ascending: of each block first the highs'
// part, then the lows'. A part is the sum of two chains of fused multiply-adds, of its even inputs
// and of its odd ones, each from zero and ascending. Numbers below 2^-126 count as zero everywhere.
// This is what AMX's tdpbf16ps computes, to the bit (linear_bf16_amx.h), whatever the number of
// rows.
//
// Bytes moved: few rows read each weight once, and memory is the bound up to four of them. Many are
// bound by FMAs, of which a weight and input take two.

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

// While it lives, subnormal numbers count as zero, as they do in tiles. What computes meanwhile is
// never inlined beside it, lest the compiler move it out.
class FlushSubnormals {
 public:
  FlushSubnormals() noexcept : saved_(_mm_getcsr()) {
    constexpr unsigned int kFlushResults = 0x8000, kInputsAreZero = 0x0040;
    _mm_setcsr(saved_ | kFlushResults | kInputsAreZero);
  }
  ~FlushSubnormals() { _mm_setcsr(saved_); }
  FlushSubnormals(const FlushSubnormals&) = delete;
  FlushSubnormals& operator=(const FlushSubnormals&) = delete;

 private:
  unsigned int saved_;
};

inline __m512 even_halves(__m512i words) noexcept {
  return _mm512_castsi512_ps(_mm512_slli_epi32(words, 16));
}
inline __m512 odd_halves(__m512i words) noexcept {
  return _mm512_castsi512_ps(
      _mm512_and_si512(words, _mm512_set1_epi32(static_cast<int>(0xffff0000))));
}

// A row's inputs of a block, widened.
struct alignas(64) WideInputs {
  float of[4][kSplitInputs / 2];  // even highs, odd highs, even lows, odd lows
};

inline void widen(const SplitInputs& split, WideInputs& wide) noexcept {
  const __m512i high = _mm512_loadu_si512(split.high), low = _mm512_loadu_si512(split.low);
  _mm512_storeu_ps(wide.of[0], even_halves(high));
  _mm512_storeu_ps(wide.of[1], odd_halves(high));
  _mm512_storeu_ps(wide.of[2], even_halves(low));
  _mm512_storeu_ps(wide.of[3], odd_halves(low));
}

constexpr size_t kSplitTileBytes = kSplitInputs * sizeof(uint16_t) * kPanelOutputs;
constexpr size_t kSplitAhead = 4 * kSplitTileBytes;  // as kBlocksAhead of codes

// kRows rows from `row` on, of kPanels panels.
template <int kRows, int kPanels>
__attribute__((noinline)) void run_split_rows(const LinearCall& call,
                                              int64_t panel,
                                              int64_t row) noexcept {
  const PackedLinear& w = *call.weights;
  const int64_t row_blocks = n_split_blocks(w.n_inputs());
  const int64_t n_blocks = (w.n_inputs() + kSplitInputs - 1) / kSplitInputs;
  const SplitInputs* inputs = call.split.data() + row * row_blocks;
  const uint32_t* weights[kPanels];
  for (int p = 0; p < kPanels; ++p) {
    weights[p] = reinterpret_cast<const uint32_t*>(w.panel(panel + p));
  }
  __m512 sum[kRows][kPanels];
  for (auto& of_row : sum)
    for (__m512& x : of_row) x = _mm512_setzero_ps();
  for (int64_t b = 0; b < n_blocks; ++b) {
    WideInputs in[kRows];
    for (int r = 0; r < kRows; ++r) widen(inputs[r * row_blocks + b], in[r]);
    __m512 chains[kRows][kPanels][4];
    for (auto& of_row : chains)
      for (auto& of_panel : of_row)
        for (__m512& x : of_panel) x = _mm512_setzero_ps();
    for (int k = 0; k < kSplitInputs / 2; ++k) {
      __m512 halves[kPanels][2];
      for (int p = 0; p < kPanels; ++p) {
        const uint32_t* words = weights[p] + (b * kSplitInputs / 2 + k) * kPanelOutputs;
        _mm_prefetch(reinterpret_cast<const char*>(words) + kSplitAhead, _MM_HINT_T0);
        halves[p][0] = even_halves(_mm512_loadu_si512(words));
        halves[p][1] = odd_halves(_mm512_loadu_si512(words));
      }
#pragma GCC unroll 4
      for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
        for (int c = 0; c < 4; ++c) {
          const __m512 x = _mm512_set1_ps(in[r].of[c][k]);
          for (int p = 0; p < kPanels; ++p) {
            chains[r][p][c] = _mm512_fmadd_ps(x, halves[p][c % 2], chains[r][p][c]);
          }
        }
      }
    }
    for (int r = 0; r < kRows; ++r) {
      for (int p = 0; p < kPanels; ++p) {
        const auto& chain = chains[r][p];
        sum[r][p] = _mm512_add_ps(sum[r][p], _mm512_add_ps(chain[0], chain[1]));
        sum[r][p] = _mm512_add_ps(sum[r][p], _mm512_add_ps(chain[2], chain[3]));
      }
    }
  }
  for (int r = 0; r < kRows; ++r) {
    float* y = call.y.data() + (row + r) * call.y_stride;
    for (int p = 0; p < kPanels; ++p) {
      const int64_t output = (panel + p) * kPanelOutputs;
      store_row(y + output, (Vec)sum[r][p], w.n_outputs() - output);
    }
  }
}

template <int kPanels>
void run_split_panels(const LinearCall& call, int64_t panel, int64_t begin, int64_t end) noexcept {
  int64_t row = begin;
  for (; row + 4 <= end; row += 4) {  // of one panel at a time: registers hold 16 chains
    for (int p = 0; p < kPanels; ++p) run_split_rows<4, 1>(call, panel + p, row);
  }
  if (row + 2 <= end) {
    run_split_rows<2, kPanels>(call, panel, row);
    row += 2;
  }
  if (row < end) run_split_rows<1, kPanels>(call, panel, row);
}

void run_split(const LinearCall& call) noexcept {
  constexpr int64_t kTogether = 64;  // rows whose inputs stay in L2 for all panels
  const FlushSubnormals flush;
  for (int64_t begin = 0; begin < call.n_rows; begin += kTogether) {
    const int64_t end = begin + kTogether < call.n_rows ? begin + kTogether : call.n_rows;
    int64_t panel = call.panel_begin;
    for (; panel + 2 <= call.panel_end; panel += 2) run_split_panels<2>(call, panel, begin, end);
    if (panel < call.panel_end) run_split_panels<1>(call, panel, begin, end);
  }
}

}  // namespace tq::kernels::TQ_ISA
