#include "models/rope.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "config/check.h"

namespace tq::models {
namespace {

// Llama 3.1: long wavelengths are stretched by `factor`, short ones kept, with a smooth band
// between.
float llama3_frequency(float inverse, const RopeScaling& scaling) {
  const auto context = static_cast<float>(scaling.original_context);
  const float wavelength = 2.0f * std::numbers::pi_v<float> / inverse;
  if (wavelength < context / scaling.high_freq_factor) return inverse;
  if (wavelength > context / scaling.low_freq_factor) return inverse / scaling.factor;
  const float smooth = (context / wavelength - scaling.low_freq_factor) /
                       (scaling.high_freq_factor - scaling.low_freq_factor);
  return (1.0f - smooth) * inverse / scaling.factor + smooth * inverse;
}

// YaRN (arXiv 2309.00071): the pair that turns `rotations` times over the original context.
double yarn_pair(double rotations, const ModelSpec& spec) {
  const auto context = static_cast<double>(spec.rope_scaling.original_context);
  return spec.rope_dim * std::log(context / (rotations * 2.0 * std::numbers::pi)) /
         (2.0 * std::log(spec.rope_theta));
}

void apply_yarn(std::vector<float>& inverse, const ModelSpec& spec) {
  const double low = std::max(std::floor(yarn_pair(spec.rope_scaling.beta_fast, spec)), 0.0);
  double high = std::min(std::ceil(yarn_pair(spec.rope_scaling.beta_slow, spec)),
                         static_cast<double>(spec.rope_dim - 1));
  if (low == high) high += 0.001;  // as the reference does, to avoid a division by zero
  for (size_t i = 0; i < inverse.size(); ++i) {
    const double ramp = std::clamp((static_cast<double>(i) - low) / (high - low), 0.0, 1.0);
    const double kept = 1.0 - ramp;  // 1: extrapolated (unchanged), 0: interpolated
    inverse[i] = static_cast<float>(inverse[i] / spec.rope_scaling.factor * (1.0 - kept) +
                                    inverse[i] * kept);
  }
}

}  // namespace

Rope::Rope(const ModelSpec& spec, bool interleaved)
    : head_dim_(spec.head_dim), interleaved_(interleaved) {
  TQ_CHECK(spec.rope_dim % 2 == 0 && spec.rope_dim <= spec.head_dim, "rope_dim", spec.rope_dim,
           spec.head_dim);
  inverse_.resize(static_cast<size_t>(spec.rope_dim) / 2);
  for (size_t i = 0; i < inverse_.size(); ++i) {
    const double exponent = 2.0 * static_cast<double>(i) / spec.rope_dim;
    inverse_[i] = static_cast<float>(1.0 / std::pow(spec.rope_theta, exponent));
  }
  switch (spec.rope_scaling.kind) {
    case RopeScaling::Kind::kNone: break;
    case RopeScaling::Kind::kLinear:
      for (float& value : inverse_) value /= spec.rope_scaling.factor;
      break;
    case RopeScaling::Kind::kLlama3:
      for (float& value : inverse_) value = llama3_frequency(value, spec.rope_scaling);
      break;
    case RopeScaling::Kind::kYarn:
      apply_yarn(inverse_, spec);
      magnitude_ = spec.rope_scaling.attention_factor;
      break;
    case RopeScaling::Kind::kFactors:
      TQ_CHECK(spec.rope_scaling.freq_factors.size() == inverse_.size(), "rope factors",
               spec.rope_scaling.freq_factors.size(), inverse_.size());
      for (size_t i = 0; i < inverse_.size(); ++i) inverse_[i] /= spec.rope_scaling.freq_factors[i];
      break;
  }
}

void Rope::angles(std::span<const int32_t> positions,
                  std::vector<float>& cosines,
                  std::vector<float>& sines) const {
  cosines.resize(positions.size() * inverse_.size());
  sines.resize(cosines.size());
  size_t out = 0;
  for (const int32_t position : positions) {
    for (const float inverse : inverse_) {
      const float angle = static_cast<float>(position) * inverse;
      cosines[out] = std::cos(angle) * magnitude_;
      sines[out] = std::sin(angle) * magnitude_;
      ++out;
    }
  }
}

void Rope::rotate(std::span<float> rows,
                  int64_t n_heads,
                  std::span<const float> cosines,
                  std::span<const float> sines) const {
  const size_t n_pairs = inverse_.size();
  const size_t first_step = interleaved_ ? 2 : 1;
  const size_t partner = interleaved_ ? 1 : n_pairs;
  const size_t n_tokens = cosines.size() / n_pairs;
  TQ_CHECK(rows.size() == n_tokens * static_cast<size_t>(n_heads * head_dim_), "rope rows",
           rows.size(), n_tokens, n_heads);
  float* row = rows.data();
  for (size_t token = 0; token < n_tokens; ++token) {
    const float* c = cosines.data() + token * n_pairs;
    const float* s = sines.data() + token * n_pairs;
    for (int64_t head = 0; head < n_heads; ++head, row += head_dim_) {
      for (size_t i = 0; i < n_pairs; ++i) {
        const float a = row[i * first_step];
        const float b = row[i * first_step + partner];
        row[i * first_step] = a * c[i] - b * s[i];
        row[i * first_step + partner] = b * c[i] + a * s[i];
      }
    }
  }
}

}  // namespace tq::models
