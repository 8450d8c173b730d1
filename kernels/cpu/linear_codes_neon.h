// linear() on codes and code_inputs() for NEON with dot products. Included once, inside a
// namespace's translation unit with TQ_ISA defined, after linear_body.h.
//
// A weight's code and an input's integer meet in sdot, whose sums are exact: 16 products and
// additions to an instruction, where floats have 4 to one. So the order of integers does not
// matter, and each output is one fp32 sum over blocks, ascending, whatever the number of rows.

namespace tq::kernels::TQ_ISA {

// Words of a block's codes for four outputs: signed, and less the type's zero where it has one.
using CodeWords = int8x16_t[8];

inline void unpack_nibbles(const NibbleWords& codes, int lane, uint8x16_t (&words)[8]) noexcept {
  for (int j = 0; j < 4; ++j) {
    const uint8x16_t word = vreinterpretq_u8_u32(vld1q_u32(codes[j] + lane));
    words[2 * j] = vandq_u8(word, vdupq_n_u8(15));
    words[2 * j + 1] = vshrq_n_u8(word, 4);
  }
}

// word | the bits of `upper` that lie `at` above the lowest of each byte, from the 5th on.
inline uint8x16_t with_upper(uint8x16_t word,
                             const uint32_t* upper,
                             int at,
                             uint8_t mask) noexcept {
  const uint32x4_t moved = vshlq_u32(vld1q_u32(upper), vdupq_n_s32(4 - at));
  return vorrq_u8(word, vandq_u8(vreinterpretq_u8_u32(moved), vdupq_n_u8(mask)));
}

template <class Block>
inline void unpack(const Block& block, int lane, CodeWords& words) noexcept {
  uint8x16_t codes[8];
  unpack_nibbles(block.codes, lane, codes);
  uint8_t zero = 0;
  if constexpr (requires { Block::kZero; }) zero = static_cast<uint8_t>(Block::kZero);
  for (int w = 0; w < 8; ++w) {
    if constexpr (requires { block.upper[0][0]; }) {
      codes[w] = with_upper(codes[w], block.upper[w / 4] + lane, w % 4 * 2, 0x30);
    } else if constexpr (requires { block.upper; }) {
      codes[w] = with_upper(codes[w], block.upper + lane, w, 0x10);
    }
    words[w] = vreinterpretq_s8_u8(vsubq_u8(codes[w], vdupq_n_u8(zero)));
  }
}

inline void unpack(const PanelQ8_0& block, int lane, CodeWords& words) noexcept {
  for (int w = 0; w < 8; ++w) {
    const uint8x16_t word = vreinterpretq_u8_u32(vld1q_u32(block.codes[w] + lane));
    words[w] = vreinterpretq_s8_u8(vsubq_u8(word, vdupq_n_u8(128)));
  }
}

// The products of 16 inputs' integers with their codes, for four outputs.
inline int32x4_t dot_half(int32x4_t sum, const int8x16_t* words, const int32_t* integers) noexcept {
  const int8x16_t in = vreinterpretq_s8_s32(vld1q_s32(integers));
  sum = vdotq_laneq_s32(sum, words[0], in, 0);
  sum = vdotq_laneq_s32(sum, words[1], in, 1);
  sum = vdotq_laneq_s32(sum, words[2], in, 2);
  return vdotq_laneq_s32(sum, words[3], in, 3);
}

// Those of a part of a block that shares a scale.
template <class Block>
inline int32x4_t dot_part(const CodeWords& words, const int32_t (&integers)[8], int part) noexcept {
  int32x4_t sum = vdupq_n_s32(0);
  for (int half = part; half < part + 2 / Block::kScales; ++half) {
    sum = dot_half(sum, words + 4 * half, integers + 4 * half);
  }
  return sum;
}

// kRows rows from `row` on, of one panel.
template <class Block, int kRows>
void run_code_rows(const LinearCall& call, int64_t panel, int64_t row) noexcept {
  const int64_t n_blocks = call.weights->n_inputs() / kCodeInputs;
  const auto* blocks = reinterpret_cast<const Block*>(call.weights->panel(panel));
  const CodedRow place = coded_row(row, call.n_rows, n_blocks);  // the others are next to it
  const CodedRows coded = call.coded.from(place.first);
  float32x4_t sum[kRows][kVecs] = {};
  for (int64_t b = 0; b < n_blocks; ++b) {
#pragma GCC unroll 4
    for (int v = 0; v < kVecs; ++v) {
      const int lane = v * kLanes;
      CodeWords words;
      unpack(blocks[b], lane, words);
#pragma GCC unroll 2
      for (int part = 0; part < Block::kScales; ++part) {
        const float32x4_t scale = Decode::halves(blocks[b].d[part] + lane);
#pragma GCC unroll 4
        for (int r = 0; r < kRows; ++r) {
          const int64_t at = b * place.step + r;
          const CodedInputs& in = coded.inputs[at];
          const int32x4_t high = dot_part<Block>(words, in.high, part);
          const int32x4_t total =
              vaddq_s32(vshlq_n_s32(high, 4), dot_part<Block>(words, in.low, part));
          sum[r][v] =
              vfmaq_f32(sum[r][v], vmulq_n_f32(scale, coded.units[at]), vcvtq_f32_s32(total));
          if constexpr (requires { blocks[b].m; }) {
            sum[r][v] = vfmaq_n_f32(sum[r][v], Decode::halves(blocks[b].m + lane), coded.sums[at]);
          }
        }
      }
    }
  }
  const int64_t n_outputs = call.weights->n_outputs();
  const int64_t output = panel * kPanelOutputs;
  for (int r = 0; r < kRows; ++r) {
    copy_sums(call.y.data() + (row + r) * call.y_stride + output,
              reinterpret_cast<const float*>(sum[r]), n_outputs - output);
  }
}

template <class Block>
void run_codes(const LinearCall& call) noexcept {
  for (int64_t panel = call.panel_begin; panel < call.panel_end; ++panel) {
    int64_t row = 0;
    for (; row + 4 <= call.n_rows; row += 4) run_code_rows<Block, 4>(call, panel, row);
    if (row + 2 <= call.n_rows) {
      run_code_rows<Block, 2>(call, panel, row);
      row += 2;
    }
    if (row < call.n_rows) run_code_rows<Block, 1>(call, panel, row);
  }
}

void linear(const LinearCall& call) noexcept {
  run_by_type(call, [&]<class Block>() { run_codes<Block>(call); });
}

// The four bytes of each of four words from 16 integers: entries 2 apart in each 8.
inline void store_bytes(int32_t* words, const int32x4_t (&integers)[4]) noexcept {
  constexpr uint8_t kOrder[16] = {0, 2, 4, 6, 1, 3, 5, 7, 8, 10, 12, 14, 9, 11, 13, 15};
  const int16x8_t first = vmovn_high_s32(vmovn_s32(integers[0]), integers[1]);
  const int16x8_t second = vmovn_high_s32(vmovn_s32(integers[2]), integers[3]);
  const int8x16_t bytes = vmovn_high_s16(vmovn_s16(first), second);
  vst1q_s32(words, vreinterpretq_s32_s8(vqtbl1q_s8(bytes, vld1q_u8(kOrder))));
}

inline void code_block(const float* x, const CodedRows& out) noexcept {
  constexpr float kMost = CodedInputs::kMost;
  // Magnitudes compare as integers, and so NaN and infinity are the largest and reach `unit`.
  int32x4_t most = vdupq_n_s32(0);
  for (int i = 0; i < kCodeInputs; i += kLanes) {
    most = vmaxq_s32(most, vreinterpretq_s32_f32(vabsq_f32(vld1q_f32(x + i))));
  }
  const int32_t bits = vmaxvq_s32(most);
  float largest;
  __builtin_memcpy(&largest, &bits, sizeof largest);
  const float per_unit = largest < CodedInputs::kLeast ? 0.0f : kMost / largest;
  int32_t totals[2];
  for (int half = 0; half < 2; ++half) {
    int32x4_t low[4], high[4];
    int32x4_t total = vdupq_n_s32(0);
    for (int i = 0; i < 4; ++i) {
      const float32x4_t part = vld1q_f32(x + 16 * half + kLanes * i);
      // What is no number is 0 here; the unit tells of it.
      const int32x4_t integers = vcvtnq_s32_f32(vmulq_n_f32(part, per_unit));
      total = vaddq_s32(total, integers);
      low[i] = vshrq_n_s32(vshlq_n_s32(integers, 28), 28);
      high[i] = vshrq_n_s32(vsubq_s32(integers, low[i]), 4);
    }
    totals[half] = vaddvq_s32(total);
    store_bytes(out.inputs->low + 4 * half, low);
    store_bytes(out.inputs->high + 4 * half, high);
  }
  const float unit = largest < CodedInputs::kLeast ? 0.0f : largest * (1.0f / kMost);
  *out.totals = {totals[0] + totals[1], totals[1]};
  *out.units = unit;
  *out.sums = unit * static_cast<float>(out.totals->all);
}

void code_inputs(const CodeInputsCall& call) noexcept { code_each_block(call, code_block); }

}  // namespace tq::kernels::TQ_ISA
