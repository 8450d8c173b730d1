// Online softmax of one tile, in powers of two (Milakov and Gimelshein, arXiv 1805.02867). Included
// once, inside an ISA translation unit, after a simd_*.h.

namespace tq::kernels::cpu::TQ_ISA_NAMESPACE {

using F = Simd::F;
using I = Simd::I;

constexpr int kVectors = kTile / Simd::kLanes;  // of one query's scores of a tile
constexpr float kRescaleAbove = 8.0f;           // powers of two by which weights may exceed 1

// 2^x for x <= kRescaleAbove: n = round(x), f = x - n in [-1/2, 1/2], Taylor of e^(f ln 2) to the
// 6th degree (remainder (ln2/2)^7 / 7! = 1.2e-7 relative at the ends), times 2^n exactly. Below
// 2^-126: 0.
inline F exp2(F x) {
  const F n = Simd::round(x);
  const F f = Simd::sub(x, n);
  F p = Simd::set1(1.5403530393381608e-4f);
  p = Simd::fma(p, f, Simd::set1(1.3333558146428443e-3f));
  p = Simd::fma(p, f, Simd::set1(9.6181291076284772e-3f));
  p = Simd::fma(p, f, Simd::set1(5.5504108664821580e-2f));
  p = Simd::fma(p, f, Simd::set1(2.4022650695910072e-1f));
  p = Simd::fma(p, f, Simd::set1(6.9314718055994531e-1f));
  p = Simd::fma(p, f, Simd::set1(1.0f));
  return Simd::scale_pow2(p, n, x);
}

// Turns one query's scores into weights 2^(score - m), with m, l and o brought to a new largest
// score where it exceeds m by more than kRescaleAbove. `n_visible` tokens count; the others get
// weight 0.
inline void softmax_tile(
    float* scores, int n_visible, float& m, float* l_lanes, float* o, int head_dim) {
  F x[kVectors];
  F largest = Simd::set1(-__builtin_inff());
  for (int v = 0; v < kVectors; ++v) {
    x[v] = Simd::load(scores + v * Simd::kLanes);
    if (n_visible < kTile) x[v] = Simd::keep_below(x[v], v * Simd::kLanes, n_visible);
    largest = Simd::max(largest, x[v]);
  }
  const float top = Simd::hmax(largest);
  if (top > m + kRescaleAbove) {
    const F factor = exp2(Simd::set1(m - top));  // m = -infinity: 0, and o and l are 0 already
    for (int j = 0; j < head_dim; j += Simd::kLanes) {
      Simd::store(o + j, Simd::mul(Simd::load(o + j), factor));
    }
    Simd::store(l_lanes, Simd::mul(Simd::load(l_lanes), factor));
    m = top;
  }
  F l = Simd::load(l_lanes);
  for (int v = 0; v < kVectors; ++v) {
    x[v] = exp2(Simd::sub(x[v], Simd::set1(m)));
    l = Simd::add(l, x[v]);
    Simd::store(scores + v * Simd::kLanes, x[v]);
  }
  Simd::store(l_lanes, l);
}

}  // namespace tq::kernels::cpu::TQ_ISA_NAMESPACE
