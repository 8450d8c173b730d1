// Online softmax of one tile, in powers of two (Milakov and Gimelshein, arXiv 1805.02867). Included
// once, inside an ISA translation unit, after a simd_*.h.

namespace tq::kernels::cpu::TQ_ISA_NAMESPACE {

using F = Simd::F;
using I = Simd::I;

constexpr int kVectors = kTile / Simd::kLanes;  // of one query's scores of a tile
constexpr float kRescaleAbove = 8.0f;           // powers of two by which factors may exceed 1

// 2^x for x < 127: n = round(x), f = x - n in [-1/2, 1/2], the polynomial of degree 5
// through (0, 1) with the least relative error (9.2e-8), times 2^n
// exactly. 0 below 2^-126 and for NaN.
inline F exp2(F x) {
  const F n = Simd::round(x);
  const F f = Simd::sub(x, n);
  F p = Simd::set1(1.32647273e-3f);
  p = Simd::fma(p, f, Simd::set1(9.67151299e-3f));
  p = Simd::fma(p, f, Simd::set1(5.55073358e-2f));
  p = Simd::fma(p, f, Simd::set1(2.40222424e-1f));
  p = Simd::fma(p, f, Simd::set1(6.93147004e-1f));
  p = Simd::fma(p, f, Simd::set1(1.0f));
  return Simd::scale_pow2(p, n, x);
}

// Brings one query's sums to a new reference.
[[gnu::noinline]] inline void rescale(float& m, float top, float* l_lanes, float* o, int head_dim) {
  const F factor = exp2(Simd::set1(m - top));  // m = -infinity: 0, and o and l are 0 already
  for (int j = 0; j < head_dim; j += Simd::kLanes) {
    Simd::store(o + j, Simd::mul(Simd::load(o + j), factor));
  }
  Simd::store(l_lanes, Simd::mul(Simd::load(l_lanes), factor));
  m = top;
}

// Turns the scores [kQ][32] of a tile into weights 2^(score - top), top the largest of the query's
// score + size, and leaves in factors[q] what they count in the sums: 2^(top - m). m is brought to
// top, with l and o, where top exceeds it by more than kRescaleAbove. Tokens from visible[q] on get
// weight 0; where there is no other, top is -infinity and the factor 0.
template <int kQ>
void softmax_tile(float* scores,
                  const F (&sizes)[kVectors],
                  const int* visible,
                  const PartState& state,
                  int head_dim,
                  float* factors) {
  F largest[kQ];
  for (int q = 0; q < kQ; ++q) {
    F x[kVectors];
    for (int v = 0; v < kVectors; ++v) {
      float* const at = scores + q * kTile + v * Simd::kLanes;
      x[v] = Simd::load(at);
      if (visible[q] < kTile) {
        x[v] = Simd::keep_below(x[v], v * Simd::kLanes, visible[q]);
        Simd::store(at, x[v]);
      }
      x[v] = Simd::add(x[v], sizes[v]);
      largest[q] = v == 0 ? x[v] : Simd::max(largest[q], x[v]);
    }
  }
  alignas(64) float tops[Simd::kLanes];
  const F top = Simd::hmax_each(largest);
  Simd::store(tops, top);
  for (int q = 0; q < kQ; ++q) {
    if (tops[q] > state.m[q] + kRescaleAbove) {
      rescale(state.m[q], tops[q], state.l_lanes + q * 16, state.o + q * head_dim, head_dim);
    }
  }
  Simd::store(factors, exp2(Simd::sub(top, Simd::load_queries(state.m))));
#pragma GCC unroll 8
  for (int q = 0; q < kQ; ++q) {
    F sum = Simd::zero();
    for (int v = 0; v < kVectors; ++v) {
      float* const at = scores + q * kTile + v * Simd::kLanes;
      const F weight = exp2(Simd::sub(Simd::load(at), Simd::set1(tops[q])));
      sum = v == 0 ? weight : Simd::add(sum, weight);
      Simd::store(at, weight);
    }
    float* const l = state.l_lanes + q * 16;
    Simd::store(l, Simd::fma(sum, Simd::set1(factors[q]), Simd::load(l)));
  }
}

}  // namespace tq::kernels::cpu::TQ_ISA_NAMESPACE
