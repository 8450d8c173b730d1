#pragma once
// GroupSearch: codes of a group of values under one scale, where the scale is searched instead of
// computed: the quantiser sees every scale near the group's largest magnitude and keeps the one
// whose rounding hurts least. Its levels are fitted to scales found that way. Immutable; any
// thread.

#include <cstdint>
#include <span>
#include <vector>

namespace tq::bench {

enum class SearchedScale : uint8_t {
  kE5m3,        // 8 bits, the upper ones of a positive fp16: least squared error of all such
  kSignedE4m3,  // 8 bits, an fp8: as kE5m3. Levels need no symmetry: a negative scale mirrors them
  kFp16,        // least squares for the codes that lie at the least angle to the group
  kFp16Unbiased,  // the same codes, scaled so that <x, decoded x> = |x|^2
};

constexpr bool is_byte(SearchedScale scale) noexcept {
  return scale == SearchedScale::kE5m3 || scale == SearchedScale::kSignedE4m3;
}

class GroupSearch {
 public:
  // levels: 2^bits, ascending, the largest magnitude 1.
  GroupSearch(std::span<const float> levels, SearchedScale scale);

  std::span<const float> levels() const noexcept { return levels_; }
  // Returns the scale: value j is decoded as scale * levels()[codes[j]]. A zero group has scale 0.
  float search(std::span<const float> group, std::span<uint8_t> codes) const noexcept;

 private:
  struct Sums;
  Sums encode(std::span<const float> group, float scale, std::span<uint8_t> codes) const noexcept;
  float search_bytes(std::span<const float> group, float largest) const noexcept;
  float search_angle(std::span<const float> group, float largest) const noexcept;

  SearchedScale scale_;
  float window_from_;  // of scales, as parts of the group's largest magnitude
  float window_to_;
  std::vector<float> levels_;
  std::vector<float> boundaries_;
};

struct GroupFit {
  int bits = 4;
  int group = 32;
  SearchedScale scale = SearchedScale::kE5m3;
  int n_groups = 4096;  // of N(0, 1) values, times a factor between 1 and 2 of their own
  int n_rounds = 60;
  uint64_t seed = 0;
};

// The fixed point of (search scales for levels) and (weighted Lloyd step for scales): levels as
// GroupSearch takes them, before their rounding to int8. Symmetric about 0 unless the scale has a
// sign.
std::vector<float> fit_group_levels(const GroupFit& fit);

// The levels that fit_group_levels found, as multiples of 1/127, for the largest tabulated group
// that is not above `group`. bits 2..4, group >= 16.
std::vector<float> group_levels(int bits, int group, SearchedScale scale);

}  // namespace tq::bench
