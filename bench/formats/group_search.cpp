#include "bench/formats/group_search.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "bench/formats/parts.h"
#include "config/check.h"
#include "quant/codebook.h"
#include "quant/float16.h"
#include "quant/random.h"

namespace tq::bench {
namespace {

// Where the best scale lies, as a part of the group's largest magnitude: wider windows find nothing
// better on Gaussian groups of 16 to 128.
constexpr float kWindowFrom = 0.6f;
constexpr float kWindowTo = 1.3f;

// e5m3: the bits of a positive fp16 without sign and without its last 7.
constexpr int kE5m3Shift = 7;
constexpr int kE5m3Max = 0xf7;  // 61440; from 0xf8 on fp16 is not finite

float e5m3_to_float(int byte) {
  return quant::fp16_to_float(static_cast<uint16_t>(byte << kE5m3Shift));
}

int e5m3_below(float value) { return quant::float_to_fp16(value) >> kE5m3Shift; }

}  // namespace

struct GroupSearch::Sums {
  double along = 0.0;   // <x, c>
  double square = 0.0;  // <c, c>

  double error(double scale) const { return scale * (scale * square - 2.0 * along); }  // - |x|^2
  double cosine2() const { return square > 0.0 ? along * along / square : 0.0; }       // * |x|^2
};

GroupSearch::GroupSearch(std::span<const float> levels, SearchedScale scale)
    : scale_(scale), levels_(levels.begin(), levels.end()) {
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

float GroupSearch::search_e5m3(std::span<const float> group, float largest) const noexcept {
  const int first = std::clamp(e5m3_below(kWindowFrom * largest), 1, kE5m3Max);
  const int last = std::clamp(e5m3_below(kWindowTo * largest) + 1, 1, kE5m3Max);
  float best = 0.0f;
  double least = 0.0;  // the error of a zero scale
  for (int byte = first; byte <= last; ++byte) {
    const float scale = e5m3_to_float(byte);
    const double error = encode(group, scale, {}).error(scale);
    if (error < least) {
      least = error;
      best = scale;
    }
  }
  return best;
}

float GroupSearch::search_angle(std::span<const float> group, float largest) const noexcept {
  constexpr int kSteps = 24;
  const float ratio = std::pow(kWindowTo / kWindowFrom, 1.0f / (kSteps - 1));
  float best = 0.0f;
  double highest = 0.0;
  float scale = kWindowFrom * largest;
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
  const bool is_e5m3 = scale_ == SearchedScale::kE5m3;
  const float found = largest == 0.0f ? 0.0f
                      : is_e5m3       ? search_e5m3(group, largest)
                                      : search_angle(group, largest);
  if (found == 0.0f) {
    std::fill(codes.begin(), codes.end(), uint8_t{0});
    return 0.0f;
  }
  const Sums sums = encode(group, found, codes);
  if (is_e5m3) return found;
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
    const double size = std::exp2(rng.uniform());  // e5m3 is finer at some scales than at others
    for (size_t j = 0; j < group; ++j) values[i + j] = static_cast<float>(size * rng.gaussian());
  }

  const std::vector<double> start =
      quant::make_codebook(quant::kCodebookDimMax, fit.bits).value().centroids;
  std::vector<float> levels(start.size());
  for (size_t k = 0; k < levels.size(); ++k) {
    levels[k] = static_cast<float>(start[k] / start.back());
  }
  const size_t n = levels.size();
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
    const double top = (moment[n - 1] - moment[0]) / (mass[n - 1] + mass[0]);
    for (size_t k = 0; k < n; ++k) {
      const size_t mirror = n - 1 - k;
      const double level = (moment[k] - moment[mirror]) / (mass[k] + mass[mirror]);
      levels[k] = static_cast<float>(level / top);
    }
  }
  return levels;
}

}  // namespace tq::bench
