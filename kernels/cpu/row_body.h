// RMSNorm and SwiGLU on rows, compiled once per instruction set after linear_body.h, whose rules it
// shares. Every element goes through the same vector code, those behind the last whole vector too:
// they are moved through a zeroed one.

namespace tq::kernels::TQ_ISA {

inline __attribute__((always_inline)) Vec load_row(const float* from, int64_t n) noexcept {
  if (n >= kLanes) return load<Vec>(from);
  Vec part{};
  __builtin_memcpy(&part, from, static_cast<size_t>(n) * sizeof(float));
  return part;
}

inline __attribute__((always_inline)) void store_row(float* to, Vec from, int64_t n) noexcept {
  if (n >= kLanes) {
    __builtin_memcpy(to, &from, sizeof(Vec));
  } else {
    __builtin_memcpy(to, &from, static_cast<size_t>(n) * sizeof(float));
  }
}

inline float sum_lanes(Vec x) noexcept {
  float sum = 0.0f;
  for (int i = 0; i < kLanes; ++i) sum += x[i];
  return sum;
}

// The sum of the row's squares, the row being x + delta from then on.
template <bool kAdd>
inline __attribute__((always_inline)) float squares(float* x,
                                                    const float* delta,
                                                    int64_t size) noexcept {
  constexpr int kSums = 4;  // in flight, to hide the latency of additions
  Vec sums[kSums] = {};
  for (int64_t i = 0; i < size; i += kSums * kLanes) {
    for (int s = 0; s < kSums; ++s) {
      const int64_t at = i + s * kLanes;
      if (at >= size) break;
      Vec value = load_row(x + at, size - at);
      if constexpr (kAdd) {
        value += load_row(delta + at, size - at);
        store_row(x + at, value, size - at);
      }
      sums[s] += value * value;
    }
  }
  return sum_lanes((sums[0] + sums[1]) + (sums[2] + sums[3]));
}

void norm(const NormCall& call) noexcept {
  const auto size = static_cast<int64_t>(call.weight.size());
  const float* weight = call.weight.data();
  for (int64_t row = call.row_begin; row < call.row_end; ++row) {
    float* x = call.x.data() + row * size;
    float* y = call.y.data() + row * size;
    const float sum = call.delta.empty() ? squares<false>(x, nullptr, size)
                                         : squares<true>(x, call.delta.data() + row * size, size);
    const float mean = sum / static_cast<float>(size);
    const Vec factor = 1.0f / __builtin_sqrtf(mean + call.eps) - Vec{};
    for (int64_t i = 0; i < size; i += kLanes) {
      store_row(y + i, load_row(x + i, size - i) * factor * load_row(weight + i, size - i),
                size - i);
    }
  }
}

// e^x for |x| <= 88: x = n ln 2 + r with |r| <= ln(2) / 2, Taylor of e^r to the 6th degree
// (remainder 1.2e-7 relative at the ends), times 2^n exactly.
inline __attribute__((always_inline)) Vec exp(Vec x) noexcept {
  constexpr float kRound = 0x1.8p23f;  // adding it leaves no bits below 1
  const Vec n = (x * 1.44269504f + kRound) - kRound;
  const Vec r = (x - n * 0.693359375f) + n * 2.12194440e-4f;  // ln 2 in two parts
  Vec p = r * (1.0f / 720) + 1.0f / 120;
  p = p * r + 1.0f / 24;
  p = p * r + 1.0f / 6;
  p = p * r + 0.5f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  return (Vec)((Ints)p + (__builtin_convertvector(n, Ints) << 23));
}

void swiglu(const SwigluCall& call) noexcept {
  constexpr float kMax = 88.0f;
  const int64_t size = call.size;
  for (int64_t row = call.row_begin; row < call.row_end; ++row) {
    const float* gates = call.gate_up.data() + row * 2 * size;
    float* y = call.y.data() + row * size;
    for (int64_t i = 0; i < size; i += kLanes) {
      const Vec gate = load_row(gates + i, size - i);
      const Vec up = load_row(gates + size + i, size - i);
      Vec minus = -gate;
      minus = minus > kMax ? kMax - Vec{} : minus < -kMax ? -kMax - Vec{} : minus;
      store_row(y + i, gate / (1.0f + exp(minus)) * up, size - i);
    }
  }
}

}  // namespace tq::kernels::TQ_ISA
