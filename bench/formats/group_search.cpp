#include "bench/formats/group_search.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "bench/formats/parts.h"
#include "quant/codebook.h"
#include "quant/float16.h"
#include "quant/random.h"

namespace tq::bench {
namespace {

// Where the best scales lie, as parts of the group's largest magnitude: wider windows find nothing
// better on Gaussian groups of 16 to 128. Four levels leave more of a group's tail uncovered;
// lopsided ones may have the largest value at their short end.
constexpr float kWindowFrom = 0.6f;
constexpr float kWindowFromOfFour = 0.35f;
constexpr float kWindowTo = 1.3f;
constexpr float kWindowToOfSigned = 1.7f;

// Positive scales of 8 or 7 bits, ascending: the bits of an fp16 without its sign and its last 7,
// times a constant.
struct ByteScales {
  int last;
  float factor;

  float at(int byte) const {
    return factor * quant::fp16_to_float(static_cast<uint16_t>(byte << 7));
  }
  int below(float value) const {
    return std::clamp(quant::float_to_fp16(value / factor) >> 7, 1, last);
  }
};

constexpr ByteScales kE5m3Scales{.last = 0xf7, .factor = 1.0f};    // to 61440
constexpr ByteScales kE4m3Scales{.last = 0x7e, .factor = 256.0f};  // to 448, exponent bias 7

}  // namespace

struct GroupSearch::Sums {
  double along = 0.0;   // <x, c>
  double square = 0.0;  // <c, c>

  double error(double scale) const { return scale * (scale * square - 2.0 * along); }  // - |x|^2
  double cosine2() const { return square > 0.0 ? along * along / square : 0.0; }       // * |x|^2
};

GroupSearch::GroupSearch(std::span<const float> levels, SearchedScale scale)
    : scale_(scale),
      window_from_(levels.size() <= 4 ? kWindowFromOfFour : kWindowFrom),
      window_to_(scale == SearchedScale::kSignedE4m3 ? kWindowToOfSigned : kWindowTo),
      levels_(levels.begin(), levels.end()) {
  for (size_t k = 0; k + 1 < levels_.size(); ++k) {
    boundaries_.push_back(0.5f * (levels_[k] + levels_[k + 1]));
  }
}

GroupSearch::Sums GroupSearch::encode(std::span<const float> group,
                                      float scale,
                                      std::span<uint8_t> codes) const noexcept {
  const float inverse = 1.0f / scale;
  Sums sums;
  for (size_t j = 0; j < group.size(); ++j) {
    const uint8_t code = quant::nearest_code(boundaries_, group[j] * inverse);
    const double level = levels_[code];
    sums.along += group[j] * level;
    sums.square += level * level;
    if (!codes.empty()) codes[j] = code;
  }
  return sums;
}

float GroupSearch::search_bytes(std::span<const float> group, float largest) const noexcept {
  const bool has_sign = scale_ == SearchedScale::kSignedE4m3;
  const ByteScales& scales = has_sign ? kE4m3Scales : kE5m3Scales;
  const int last = std::min(scales.below(window_to_ * largest) + 1, scales.last);
  float best = 0.0f;
  double least = 0.0;  // the error of a zero scale
  const auto consider = [&](float scale) {
    const double error = encode(group, scale, {}).error(scale);
    if (error < least) {
      least = error;
      best = scale;
    }
  };
  for (int byte = scales.below(window_from_ * largest); byte <= last; ++byte) {
    consider(scales.at(byte));
    if (has_sign) consider(-scales.at(byte));
  }
  return best;
}

float GroupSearch::search_angle(std::span<const float> group, float largest) const noexcept {
  constexpr int kSteps = 24;
  const float ratio = std::pow(window_to_ / window_from_, 1.0f / (kSteps - 1));
  float best = 0.0f;
  double highest = 0.0;
  float scale = window_from_ * largest;
  for (int step = 0; step < kSteps; ++step, scale *= ratio) {
    const double cosine2 = encode(group, scale, {}).cosine2();
    if (cosine2 > highest) {
      highest = cosine2;
      best = scale;
    }
  }
  return best;
}

float GroupSearch::search(std::span<const float> group, std::span<uint8_t> codes) const noexcept {
  const float largest = largest_magnitude(group);
  const float found = largest == 0.0f   ? 0.0f
                      : is_byte(scale_) ? search_bytes(group, largest)
                                        : search_angle(group, largest);
  if (found == 0.0f) {
    std::fill(codes.begin(), codes.end(), uint8_t{0});
    return 0.0f;
  }
  const Sums sums = encode(group, found, codes);
  if (is_byte(scale_)) return found;
  double norm2 = 0.0;
  for (const float value : group) norm2 += static_cast<double>(value) * value;
  const double scale =
      scale_ == SearchedScale::kFp16 ? sums.along / sums.square : norm2 / sums.along;
  return round_to_fp16(static_cast<float>(scale));
}

std::vector<float> fit_group_levels(const GroupFit& fit) {
  const auto group = static_cast<size_t>(fit.group);
  std::vector<float> values(static_cast<size_t>(fit.n_groups) * group);
  quant::Rng rng(fit.seed, quant::RngStream::kData);
  for (size_t i = 0; i < values.size(); i += group) {
    const double size = std::exp2(rng.uniform());  // byte scales are finer in some places
    for (size_t j = 0; j < group; ++j) values[i + j] = static_cast<float>(size * rng.gaussian());
  }

  const bool is_symmetric = fit.scale != SearchedScale::kSignedE4m3;
  const size_t n = size_t{1} << fit.bits;
  std::vector<float> levels(n);
  for (size_t k = 0; k < n; ++k) {  // equal steps; q4_0's where there is no symmetry
    const auto part = static_cast<float>(k) / static_cast<float>(is_symmetric ? n - 1 : n);
    levels[k] = 2.0f * part - 1.0f;
  }
  std::vector<uint8_t> codes(group);
  for (int round = 0; round < fit.n_rounds; ++round) {
    const GroupSearch search(levels, fit.scale);
    std::vector<double> moment(n, 0.0);  // sum of scale * value
    std::vector<double> mass(n, 0.0);    // sum of scale^2
    for (size_t i = 0; i < values.size(); i += group) {
      const std::span<const float> part = std::span(values).subspan(i, group);
      const double scale = search.search(part, codes);
      for (size_t j = 0; j < group; ++j) {
        moment[codes[j]] += scale * part[j];
        mass[codes[j]] += scale * scale;
      }
    }
    for (size_t k = 0; k < n; ++k) {
      const size_t mirror = n - 1 - k;
      levels[k] =
          static_cast<float>(is_symmetric ? (moment[k] - moment[mirror]) / (mass[k] + mass[mirror])
                                          : moment[k] / mass[k]);
    }
    const float top = largest_magnitude(levels);
    for (float& level : levels) level /= top;
  }
  return levels;
}

}  // namespace tq::bench
