// linear() on codes and code_inputs() for AVX-512 with VNNI. Included once, inside a namespace's
// translation unit with TQ_ISA defined, after linear_body.h, row_body.h and the intrinsics; a test
// includes software versions of these first.
//
// A weight's code and an input's integer meet in vpdpbusd, whose sums are exact: 16 products and
// additions to an instruction where floats have 16 to two. So the order of integers does not
// matter, and each output is one fp32 sum over blocks, ascending, whatever the number of rows.

namespace tq::kernels::TQ_ISA {

// Words of a block's codes, unsigned, as vpdpbusd wants them.
using CodeWords = __m512i[8];

inline void unpack_nibbles(const NibbleWords& codes, CodeWords& words) noexcept {
  const __m512i mask = _mm512_set1_epi8(15);
  for (int j = 0; j < 4; ++j) {
    const __m512i word = _mm512_loadu_si512(codes[j]);
    words[2 * j] = _mm512_and_si512(word, mask);
    words[2 * j + 1] = _mm512_and_si512(_mm512_srli_epi32(word, 4), mask);
  }
}

// word | bits of `upper` shifted to the 5th and, for a mask of 0x30, the 6th of each byte; they lie
// `at` bits above the lowest.
inline __attribute__((always_inline)) __m512i with_upper(__m512i word,
                                                         __m512i upper,
                                                         int at,
                                                         char mask) noexcept {
  const __m512i moved =
      at < 4 ? _mm512_slli_epi32(upper, 4 - at) : _mm512_srli_epi32(upper, at - 4);
  return _mm512_ternarylogic_epi32(word, moved, _mm512_set1_epi8(mask), 0xf8);  // a | (b & c)
}

template <class Block>
inline void unpack(const Block& block, CodeWords& words) noexcept {
  unpack_nibbles(block.codes, words);
}

inline void unpack(const PanelQ5_1& block, CodeWords& words) noexcept {
  unpack_nibbles(block.codes, words);
  const __m512i upper = _mm512_loadu_si512(block.upper);
#pragma GCC unroll 8
  for (int w = 0; w < 8; ++w) words[w] = with_upper(words[w], upper, w, 0x10);
}

inline void unpack(const PanelQ6_K& block, CodeWords& words) noexcept {
  unpack_nibbles(block.codes, words);
#pragma GCC unroll 8
  for (int w = 0; w < 8; ++w) {
    words[w] = with_upper(words[w], _mm512_loadu_si512(block.upper[w / 4]), w % 4 * 2, 0x30);
  }
}

inline void unpack(const PanelQ8_0& block, CodeWords& words) noexcept {
  for (int w = 0; w < 8; ++w) words[w] = _mm512_loadu_si512(block.codes[w]);
}

// value = scale (code - zero) or scale code + minimum, of each output, for the inputs of a part
// that share a scale.
struct BlockScales {
  __m512 scale;
  __m512 minimum;  // not used where the type has a zero
};

template <class Block>
constexpr int32_t zero_of() noexcept {
  if constexpr (requires { Block::kZero; }) {
    return static_cast<int32_t>(Block::kZero);
  } else {
    return 0;
  }
}

inline __m512 halves(const uint16_t* from) noexcept {
  return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
}

template <class Block>
inline BlockScales scales_of(const Block& block, int part = 0) noexcept {
  const __m512 d = halves(block.d[part]);
  if constexpr (requires { block.m; }) {
    return {d, halves(block.m)};
  } else {
    return {d, _mm512_setzero_ps()};
  }
}

// sum += products of codes less their zero with inputs, `total`, scaled.
template <class Block>
inline __attribute__((always_inline)) void add_scaled(const BlockScales& scales,
                                                      const CodedRows& coded,
                                                      int64_t block,
                                                      __m512i total,
                                                      __m512& sum) noexcept {
  const __m512 scale = _mm512_mul_ps(scales.scale, _mm512_set1_ps(coded.units[block]));
  sum = _mm512_fmadd_ps(scale, _mm512_cvtepi32_ps(total), sum);
  if constexpr (zero_of<Block>() == 0) {
    sum = _mm512_fmadd_ps(scales.minimum, _mm512_set1_ps(coded.sums[block]), sum);
  }
}

// The sum of the integers of a part of a block.
template <class Block>
inline int32_t part_total(const InputTotals& totals, int part) noexcept {
  if (Block::kScales == 1) return totals.all;
  return part == 0 ? totals.all - totals.second : totals.second;
}

// Hardware follows a stream of blocks too late: this is worth a fifth of a core's read speed.
constexpr int kBlocksAhead = 8;

template <class Block>
inline __attribute__((always_inline)) void prefetch(const Block* block) noexcept {
  const auto* bytes = reinterpret_cast<const char*>(block);
  for (size_t i = 0; i < sizeof(Block); i += 64) _mm_prefetch(bytes + i, _MM_HINT_T0);
}

// kRows rows from `row` on, of kPanels panels: a broadcast of inputs serves all of these.
template <class Block, int kRows, int kPanels>
void run_code_rows(const LinearCall& call, int64_t panel, int64_t row) noexcept {
  const int64_t n_blocks = call.weights->n_inputs() / kCodeInputs;
  const Block* blocks[kPanels];
  for (int p = 0; p < kPanels; ++p) {
    blocks[p] = reinterpret_cast<const Block*>(call.weights->panel(panel + p));
  }
  const CodedRow place = coded_row(row, call.n_rows, n_blocks);  // the others are next to it
  const CodedRows coded = call.coded.from(place.first);
  __m512 sum[kRows][kPanels];
  for (auto& of_row : sum)
    for (__m512& x : of_row) x = _mm512_setzero_ps();
  for (int64_t b = 0; b < n_blocks; ++b) {
    CodeWords words[kPanels];
    BlockScales scales[kPanels][Block::kScales];
    for (int p = 0; p < kPanels; ++p) {
      // Behind a panel's last block: the panel that this one's place goes to next.
      const int64_t beyond = b + kBlocksAhead < n_blocks ? 0 : (kPanels - 1) * n_blocks;
      prefetch(blocks[p] + b + kBlocksAhead + beyond);
      unpack(blocks[p][b], words[p]);
      for (int part = 0; part < Block::kScales; ++part) {
        scales[p][part] = scales_of(blocks[p][b], part);
      }
    }
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      const int64_t at = b * place.step + r;
      const CodedInputs& in = coded.inputs[at];
#pragma GCC unroll 2
      for (int part = 0; part < Block::kScales; ++part) {
        __m512i high[kPanels], low[kPanels];
        const __m512i start =
            _mm512_set1_epi32(-zero_of<Block>() * part_total<Block>(coded.totals[at], part));
        for (int p = 0; p < kPanels; ++p) {
          high[p] = _mm512_setzero_si512();
          low[p] = start;
        }
#pragma GCC unroll 8
        for (int i = 0; i < 8 / Block::kScales; ++i) {
          const int w = part * 8 / Block::kScales + i;
          const __m512i in_high = _mm512_set1_epi32(in.high[w]);
          const __m512i in_low = _mm512_set1_epi32(in.low[w]);
          for (int p = 0; p < kPanels; ++p) {
            high[p] = _mm512_dpbusd_epi32(high[p], words[p][w], in_high);
            low[p] = _mm512_dpbusd_epi32(low[p], words[p][w], in_low);
          }
        }
        for (int p = 0; p < kPanels; ++p) {
          add_scaled<Block>(scales[p][part], coded, at,
                            _mm512_add_epi32(_mm512_slli_epi32(high[p], 4), low[p]), sum[r][p]);
        }
      }
    }
  }
  const int64_t n_outputs = call.weights->n_outputs();
  for (int r = 0; r < kRows; ++r) {
    float* y = call.y.data() + (row + r) * call.y_stride;
    for (int p = 0; p < kPanels; ++p) {
      const int64_t output = (panel + p) * kPanelOutputs;
      store_row(y + output, (Vec)sum[r][p], n_outputs - output);
    }
  }
}

template <class Block, int kPanels>
void run_code_panels(const LinearCall& call, int64_t panel) noexcept {
  int64_t row = 0;
  for (; row + 4 <= call.n_rows; row += 4) run_code_rows<Block, 4, kPanels>(call, panel, row);
  if (row + 2 <= call.n_rows) {
    run_code_rows<Block, 2, kPanels>(call, panel, row);
    row += 2;
  }
  if (row < call.n_rows) run_code_rows<Block, 1, kPanels>(call, panel, row);
}

template <class Block>
void run_codes(const LinearCall& call) noexcept {
  int64_t panel = call.panel_begin;
  for (; panel + 2 <= call.panel_end; panel += 2) run_code_panels<Block, 2>(call, panel);
  if (panel < call.panel_end) run_code_panels<Block, 1>(call, panel);
}

void linear(const LinearCall& call) noexcept {
  run_by_type(call, [&]<class Block>() { run_codes<Block>(call); });
}

// The four bytes of each of four words from 16 integers: entries 2 apart in each 8.
inline void store_bytes(int32_t* words, __m512i integers) noexcept {
  const __m128i order = _mm_setr_epi8(0, 2, 4, 6, 1, 3, 5, 7, 8, 10, 12, 14, 9, 11, 13, 15);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(words),
                   _mm_shuffle_epi8(_mm512_cvtepi32_epi8(integers), order));
}

inline void code_block(const float* x, const CodedRows& out) noexcept {
  constexpr float kMost = CodedInputs::kMost;
  const __m512 parts[2] = {_mm512_loadu_ps(x), _mm512_loadu_ps(x + 16)};
  // Magnitudes compare as integers, and so NaN and infinity are the largest and reach `unit`.
  const __m512i magnitude = _mm512_set1_epi32(0x7fffffff);
  const __m512i most = _mm512_max_epi32(_mm512_and_si512(_mm512_castps_si512(parts[0]), magnitude),
                                        _mm512_and_si512(_mm512_castps_si512(parts[1]), magnitude));
  const int32_t bits = _mm512_reduce_max_epi32(most);
  float largest;
  __builtin_memcpy(&largest, &bits, sizeof largest);
  const float per_unit = largest < CodedInputs::kLeast ? 0.0f : kMost / largest;
  int32_t totals[2];
  for (int i = 0; i < 2; ++i) {
    // What is no number converts to the least integer, and is kept small; the unit tells of it.
    const __m512i integers =
        _mm512_max_epi32(_mm512_cvtps_epi32(_mm512_mul_ps(parts[i], _mm512_set1_ps(per_unit))),
                         _mm512_set1_epi32(-2048));
    const __m512i low = _mm512_srai_epi32(_mm512_slli_epi32(integers, 28), 28);
    totals[i] = static_cast<int32_t>(_mm512_reduce_add_ps(_mm512_cvtepi32_ps(integers)));  // exact
    store_bytes(out.inputs->low + 4 * i, low);
    store_bytes(out.inputs->high + 4 * i, _mm512_srai_epi32(_mm512_sub_epi32(integers, low), 4));
  }
  const float unit = largest < CodedInputs::kLeast ? 0.0f : largest * (1.0f / kMost);
  *out.totals = {totals[0] + totals[1], totals[1]};
  *out.units = unit;
  *out.sums = unit * static_cast<float>(out.totals->all);
}

void code_inputs(const CodeInputsCall& call) noexcept { code_each_block(call, code_block); }

}  // namespace tq::kernels::TQ_ISA
