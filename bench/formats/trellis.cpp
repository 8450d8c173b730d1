#include "bench/formats/trellis.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <limits>

#include "config/check.h"
#include "quant/codebook.h"
#include "quant/random.h"

namespace tq::bench {
namespace {

// Ungerboeck's parity checks for 256 states (IEEE Trans. Inf. Theory 28, 1982, table I). Read as
// generators of the same code: the two bits of a value's subset are parities of its window, which
// is the last 9 path bits, the newest lowest.
constexpr unsigned kHighBit = 0515;
constexpr unsigned kLowBit = 0362;
constexpr unsigned kOldest = Trellis::kStates;  // in a window

constexpr uint8_t subset_of(unsigned window) {
  const auto high = static_cast<unsigned>(std::popcount(window & kHighBit)) & 1u;
  const auto low = static_cast<unsigned>(std::popcount(window & kLowBit)) & 1u;
  return static_cast<uint8_t>(2 * high + low);
}

constexpr std::array<uint8_t, Trellis::kStates> make_subsets() {
  std::array<uint8_t, Trellis::kStates> subsets{};
  for (unsigned state = 0; state < Trellis::kStates; ++state) subsets[state] = subset_of(state);
  return subsets;
}

// By state after the value, had the oldest bit been 0; had it been 1, the subset differs by 2.
constexpr std::array<uint8_t, Trellis::kStates> kSubset = make_subsets();
static_assert(subset_of(kOldest) == 2 && subset_of(1) == 2, "branches that meet are far apart");

struct Nearest {
  float error[Trellis::kSubsets];
  uint8_t level[Trellis::kSubsets];
};

Nearest nearest_levels(std::span<const float> levels, float value) {
  Nearest nearest;
  for (size_t s = 0; s < Trellis::kSubsets; ++s) {
    nearest.error[s] = std::numeric_limits<float>::max();
    for (size_t k = s; k < levels.size(); k += Trellis::kSubsets) {
      const float off = value - levels[k];
      if (off * off < nearest.error[s]) {
        nearest.error[s] = off * off;
        nearest.level[s] = static_cast<uint8_t>(k);
      }
    }
  }
  return nearest;
}

using Costs = std::array<float, Trellis::kStates>;
using Origins = std::array<uint8_t, Trellis::kStates>;  // the oldest bit of the better window

void advance(const Nearest& nearest, const Costs& before, Costs& after, Origins& origins) {
  for (size_t state = 0; state < Trellis::kStates; ++state) {
    const uint8_t subset = kSubset[state];
    const float from_zero = before[state >> 1] + nearest.error[subset];
    const float from_one = before[state >> 1 | kOldest >> 1] + nearest.error[subset ^ 2u];
    origins[state] = from_one < from_zero ? 1 : 0;
    after[state] = std::min(from_zero, from_one);
  }
}

}  // namespace

Trellis::Trellis(std::span<const float> levels) : levels_(levels.begin(), levels.end()) {
  TQ_CHECK(levels.size() >= kSubsets && levels.size() <= 256, "2^(bits + 1) levels", levels.size());
}

void Trellis::encode(std::span<const float> row, std::span<uint8_t> chosen) const {
  TQ_CHECK(row.size() == chosen.size(), "a level per value", row.size(), chosen.size());
  std::vector<Nearest> nearest(row.size());
  std::vector<Origins> origins(row.size());
  Costs costs;
  costs.fill(1e30f);  // finite, so that sums stay ordered
  costs[0] = 0.0f;
  Costs next;
  for (size_t j = 0; j < row.size(); ++j) {
    nearest[j] = nearest_levels(levels_, row[j]);
    advance(nearest[j], costs, next, origins[j]);
    costs = next;
  }
  auto state = static_cast<unsigned>(std::min_element(costs.begin(), costs.end()) - costs.begin());
  for (size_t j = row.size(); j-- > 0;) {
    const unsigned oldest = origins[j][state];
    chosen[j] = nearest[j].level[kSubset[state] ^ 2u * oldest];
    state = state >> 1 | (oldest != 0 ? kOldest >> 1 : 0u);
  }
}

std::vector<float> fit_trellis_levels(const TrellisFit& fit) {
  constexpr size_t kDim = 128;
  std::vector<float> values(static_cast<size_t>(fit.n_rows) * kDim);
  quant::Rng rng(fit.seed, quant::RngStream::kData);
  for (float& value : values) value = static_cast<float>(rng.gaussian());

  const quant::Codebook start = quant::make_codebook(quant::kCodebookDimMax, fit.bits + 1).value();
  const double sigma = std::sqrt(static_cast<double>(start.dim));
  std::vector<float> levels;
  for (const double centroid : start.centroids) {
    levels.push_back(static_cast<float>(sigma * centroid));
  }
  const size_t n = levels.size();
  std::vector<uint8_t> chosen(kDim);
  for (int round = 0; round < fit.n_rounds; ++round) {
    const Trellis trellis(levels);
    std::vector<double> sum(n, 0.0);
    std::vector<double> count(n, 0.0);
    for (size_t i = 0; i < values.size(); i += kDim) {
      trellis.encode(std::span(values).subspan(i, kDim), chosen);
      for (size_t j = 0; j < kDim; ++j) {
        sum[chosen[j]] += values[i + j];
        count[chosen[j]] += 1.0;
      }
    }
    for (size_t k = 0; k < n; ++k) {
      const size_t mirror = n - 1 - k;
      levels[k] = static_cast<float>((sum[k] - sum[mirror]) / (count[k] + count[mirror]));
    }
  }
  return levels;
}

}  // namespace tq::bench
