// The body of linear(), compiled once per instruction set by linear_{scalar,avx2,avx512}.cpp, each
// in its own namespace TQ_ISA with its own width TQ_VECTOR_BYTES. No #pragma once and no std::
// inside: the code must not be shared between translation units that have different instruction-set
// flags.
//
// Bytes moved: n_rows <= kRowsMax reads each weight once, so decode is bound by memory; at more
// rows a panel (16 outputs, <= 64 KiB for 1024 bf16 inputs) stays in L2 and the FMA units are the
// bound: 2 loads of weights, kRows broadcasts and 2 * kRows FMAs per k on AVX2.

namespace tq::kernels::TQ_ISA {

typedef float Vec __attribute__((vector_size(TQ_VECTOR_BYTES), aligned(TQ_VECTOR_BYTES)));
typedef uint32_t Words __attribute__((vector_size(TQ_VECTOR_BYTES), aligned(TQ_VECTOR_BYTES)));

constexpr int kLanes = TQ_VECTOR_BYTES / 4;
constexpr int kVecs = kPanelOutputs / kLanes;  // vectors per panel

// Sums of kRows rows over kPanels panels. Each output's sum runs over k in ascending order in one
// accumulator, so its bits do not depend on kRows, kPanels or the row's place.
template <int kRows, int kPanels>
using Sums = Vec[kRows][kPanels * kVecs];

inline __attribute__((always_inline)) const Words* words_at(const std::byte* panel,
                                                            int64_t word) noexcept {
  return reinterpret_cast<const Words*>(panel + word * kPanelOutputs * 4);
}

// sum[r] += weights * x[r]; one broadcast of x serves all vectors of weights.
template <int kRows, int kPanels>
inline __attribute__((always_inline)) void accumulate(Sums<kRows, kPanels>& sum,
                                                      const Vec* weights,
                                                      const float* x,
                                                      int64_t n_inputs) noexcept {
  for (int r = 0; r < kRows; ++r) {
    const Vec broadcast = Vec{} + x[r * n_inputs];
    for (int v = 0; v < kPanels * kVecs; ++v) sum[r][v] += weights[v] * broadcast;
  }
}

// kOdd picks the upper half of each bf16 word (the odd k) or the lower.
template <bool kBf16, bool kOdd, int kRows, int kPanels>
inline __attribute__((always_inline)) void step(Sums<kRows, kPanels>& sum,
                                                const std::byte* panel,
                                                size_t panel_bytes,
                                                const float* x,
                                                int64_t n_inputs,
                                                int64_t k) noexcept {
  Vec weights[kPanels * kVecs];
  for (int p = 0; p < kPanels; ++p) {
    const Words* source = words_at(panel + static_cast<size_t>(p) * panel_bytes, kBf16 ? k / 2 : k);
    for (int v = 0; v < kVecs; ++v) {
      const Words words = source[v];
      weights[p * kVecs + v] = (Vec)(!kBf16 ? words : (kOdd ? words & 0xffff0000u : words << 16));
    }
  }
  accumulate<kRows, kPanels>(sum, weights, x + k, n_inputs);
}

template <bool kBf16, int kRows, int kPanels>
void run_tile(const LinearCall& call, int64_t panel, int64_t row) noexcept {
  const PackedLinear& w = *call.weights;
  const int64_t n_inputs = w.n_inputs();
  const float* x = call.x.data() + row * n_inputs;
  const std::byte* base = w.panel(panel);
  const size_t panel_bytes = w.panel_bytes();

  Sums<kRows, kPanels> sum{};
  int64_t k = 0;
  for (; k + 1 < n_inputs; k += 2) {
    step<kBf16, false, kRows, kPanels>(sum, base, panel_bytes, x, n_inputs, k);
    step<kBf16, true, kRows, kPanels>(sum, base, panel_bytes, x, n_inputs, k + 1);
  }
  if (k < n_inputs) step<kBf16, false, kRows, kPanels>(sum, base, panel_bytes, x, n_inputs, k);

  for (int r = 0; r < kRows; ++r) {
    for (int p = 0; p < kPanels; ++p) {
      const int64_t output = (panel + p) * kPanelOutputs;
      const int64_t left = w.n_outputs() - output;
      const int n = left < kPanelOutputs ? static_cast<int>(left) : kPanelOutputs;
      float* y = call.y.data() + (row + r) * w.n_outputs() + output;
      const float* sums = reinterpret_cast<const float*>(&sum[r][p * kVecs]);
      __builtin_memcpy(y, sums, static_cast<size_t>(n) * sizeof(float));
    }
  }
}

// Rows [row, ...) in groups of kRows while they last, over kGroup panels, kPanels at a time.
// Returns the first row that is left.
template <bool kBf16, int kRows, int kPanels, int kGroup>
int64_t run_rows(const LinearCall& call, int64_t panel, int64_t row) noexcept {
  for (; call.n_rows - row >= kRows; row += kRows) {
    for (int p = 0; p < kGroup; p += kPanels) run_tile<kBf16, kRows, kPanels>(call, panel + p, row);
  }
  return row;
}

// Few rows take several panels at once: at least eight sums in flight hide the latency of their FMA
// chains.
template <bool kBf16, int kGroup>
void run_group(const LinearCall& call, int64_t panel) noexcept {
  int64_t row = run_rows<kBf16, kRowsMax, 1, kGroup>(call, panel, 0);
  row = run_rows<kBf16, 4, 1, kGroup>(call, panel, row);
  row = run_rows < kBf16, 2, kGroup < 2 ? 1 : 2, kGroup > (call, panel, row);
  run_rows<kBf16, 1, kGroup, kGroup>(call, panel, row);
}

template <bool kBf16>
void run(const LinearCall& call) noexcept {
  constexpr int kGroup = 4;
  int64_t panel = call.panel_begin;
  for (; panel + kGroup <= call.panel_end; panel += kGroup) run_group<kBf16, kGroup>(call, panel);
  for (; panel < call.panel_end; ++panel) run_group<kBf16, 1>(call, panel);
}

void linear(const LinearCall& call) noexcept {
  if (call.weights->type() == PackedType::kBf16) {
    run<true>(call);
  } else {
    run<false>(call);
  }
}

}  // namespace tq::kernels::TQ_ISA
