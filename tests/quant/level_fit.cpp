#include "tests/quant/level_fit.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>

#include "quant/random.h"
#include "quant/row_codec.h"

namespace tq::quant::testing {
namespace {

// Scales that are tried, as parts of the group's largest magnitude.
constexpr float kFrom = 0.35f;
constexpr float kTo = 2.0f;
constexpr int kRounds = 60;

// The nearest level of every value under one scale.
class Search {
 public:
  explicit Search(std::span<const double> levels) : levels_(levels.begin(), levels.end()) {
    for (float& level : levels_) level *= kLevelUnit;
    for (size_t k = 0; k + 1 < levels_.size(); ++k) {
      boundaries_.push_back(0.5f * (levels_[k] + levels_[k + 1]));
    }
  }

  size_t code_of(float value) const noexcept {
    size_t code = 0;
    for (const float boundary : boundaries_) code += value > boundary ? 1 : 0;
    return code;
  }

  double error(std::span<const float> group, float scale) const noexcept {
    const float inverse = 1.0f / scale;
    float sum = 0.0f;
    for (const float value : group) {
      const float part = value * inverse;
      const float off = part - levels_[code_of(part)];
      sum += off * off;
    }
    return static_cast<double>(scale) * scale * sum;
  }

  struct Found {
    float scale = 0.0f;
    double error = std::numeric_limits<double>::infinity();
  };
  Found best(std::span<const float> group) const {
    float largest = 0.0f;
    for (const float value : group) largest = std::max(largest, std::abs(value));
    Found found;
    for (int byte = 1; byte < 0x80; ++byte) {
      const float size = scale_value(static_cast<uint8_t>(byte));
      if (size < kFrom * largest || size > kTo * largest) continue;
      for (const float scale : {size, -size}) {
        const double off = error(group, scale);
        if (off < found.error) found = {scale, off};
      }
    }
    return found;
  }

 private:
  std::vector<float> levels_;  // over kTopLevel
  std::vector<float> boundaries_;
};

}  // namespace

std::vector<float> make_groups(const GroupSample& sample) {
  const auto group = static_cast<size_t>(sample.group);
  std::vector<float> values(static_cast<size_t>(sample.n_groups) * group);
  Rng rng(sample.seed, RngStream::kData);
  for (size_t i = 0; i < values.size(); i += group) {
    const double size = std::exp2(rng.uniform()) / 16.0;
    for (size_t j = 0; j < group; ++j) values[i + j] = static_cast<float>(size * rng.gaussian());
  }
  return values;
}

std::vector<double> fit_levels(int bits, std::span<const float> groups, int group) {
  const size_t n = size_t{1} << bits;
  std::vector<double> levels(n);
  // Equal steps, of which one end is at the top and the other one step short of it.
  for (size_t k = 0; k < n; ++k) {
    levels[k] = kTopLevel * (2.0 * static_cast<double>(k) / static_cast<double>(n) - 1.0);
  }
  for (int round = 0; round < kRounds; ++round) {
    const Search search(levels);
    std::vector<double> moment(n, 0.0);  // sum of scale * value
    std::vector<double> mass(n, 0.0);    // sum of scale^2
    for (size_t i = 0; i < groups.size(); i += static_cast<size_t>(group)) {
      const std::span<const float> part = groups.subspan(i, static_cast<size_t>(group));
      const float scale = search.best(part).scale;
      for (const float value : part) {
        const size_t code = search.code_of(value / scale);
        moment[code] += static_cast<double>(scale) * value;
        mass[code] += static_cast<double>(scale) * scale;
      }
    }
    double top = 0.0;
    for (size_t k = 0; k < n; ++k) {
      levels[k] = moment[k] / mass[k];
      top = std::max(top, std::abs(levels[k]));
    }
    for (double& level : levels) level *= kTopLevel / top;
  }
  return levels;
}

double level_error(std::span<const double> levels, std::span<const float> groups, int group) {
  const Search search(levels);
  double sum = 0.0;
  for (size_t i = 0; i < groups.size(); i += static_cast<size_t>(group)) {
    sum += search.best(groups.subspan(i, static_cast<size_t>(group))).error;
  }
  return sum;
}

}  // namespace tq::quant::testing
