#pragma once
// What sampling computes of one logit, the same bits on every device: a token's weight, and a logit
// changed by bias and penalties. Weights are multiples of 2^-33, so sums of up to 2^20 of them are
// exact in double: whoever adds, in whatever order, gets the same. All that compiles this does so
// without contraction. Pure.

#include <algorithm>
#include <bit>
#include <cstdint>
#include <limits>

#include "config/ids.h"
#include "config/limits.h"

namespace tq::kernels {

static_assert(limits::kVocabMax <= 1 << 20);
inline constexpr float kWeightQuantum = 0x1p-33f;
// Of a token that may not be drawn.
inline constexpr float kExcludedLogit = std::numeric_limits<float>::lowest();

// What token_weight() multiplies by: log2(e) / temperature. Finite, or 0 * infinity would not be 0.
constexpr float weight_factor(float temperature) noexcept {
  return std::min(1.44269504f / temperature, std::numeric_limits<float>::max());
}

// 2^x, x = (logit - max) * factor <= 0, within a few 1e-7 of itself and half a quantum; 1 for the
// largest logit. The difference comes first: a tiny temperature must not overflow both terms.
constexpr float token_weight(float logit, float max, float factor) noexcept {
  constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer
  constexpr float kCoarse = 0x1p-10f;    // sums with it are multiples of the quantum
  // Magnitudes of floats compare as integers, and integer comparisons are no branches.
  constexpr int32_t kMost = std::bit_cast<int32_t>(34.0f);  // 2^-34 is half a quantum
  const int32_t magnitude = std::bit_cast<int32_t>((logit - max) * factor) & 0x7fffffff;
  const int32_t keep = -static_cast<int32_t>(magnitude <= kMost);  // all bits, or none
  const float x = -std::bit_cast<float>(magnitude & keep);
  const float shifted = x + kRound;
  const float r = x - (shifted - kRound);  // |r| <= 1/2
  float p = 1.52527338e-5f;                // ln(2)^7 / 7!; the rest is below 6e-9
  p = p * r + 1.54035304e-4f;
  p = p * r + 1.33335581e-3f;
  p = p * r + 9.61812911e-3f;
  p = p * r + 5.55041087e-2f;
  p = p * r + 2.40226507e-1f;
  p = p * r + 6.93147181e-1f;
  p = p * r + 1.0f;
  // The integer that x was rounded to is in the sum's last bits, and becomes an exponent.
  const float scale = std::bit_cast<float>((std::bit_cast<uint32_t>(shifted) << 23) + 0x3f800000u);
  const float weight = std::bit_cast<float>(std::bit_cast<int32_t>(p * scale) & keep);
  return (weight + kCoarse) - kCoarse;
}

// A change of one logit of one row.
struct LogitChange {
  int32_t row = 0;
  TokenId token = 0;
  float bias = 0.0f;
  float repetition = 1.0f;  // divides what is above zero, multiplies what is not
  float penalty = 0.0f;     // is subtracted
  int32_t is_banned = 0;
};

constexpr float changed_logit(float logit, const LogitChange& change) noexcept {
  if (change.is_banned != 0) return kExcludedLogit;
  const float biased = logit + change.bias;
  const float scaled = biased > 0 ? biased / change.repetition : biased * change.repetition;
  const float changed = scaled - change.penalty;
  // No std::clamp(): it takes the host's kExcludedLogit by reference, of which nvcc concludes that
  // a device never comes here.
  constexpr float kMost = std::numeric_limits<float>::max();
  return changed < kExcludedLogit ? kExcludedLogit : changed > kMost ? kMost : changed;
}

}  // namespace tq::kernels
