#pragma once
// What the formats are made of: small floats, groups rounded on their own, state per head, and the
// decorator that rotates rows around another format. Each codec has one thread at a time.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <tuple>
#include <vector>

#include "bench/formats/kv_codec.h"
#include "config/result.h"

namespace tq::bench {

using MadeCodec = Result<std::unique_ptr<KvCodec>>;

// A float format of a sign, exponent and mantissa bits, with subnormals and without infinities.
struct SmallFloat {
  int mantissa_bits;
  int exponent_min;  // of the smallest normal number
  float max;
};

inline constexpr SmallFloat kE4m3{.mantissa_bits = 3, .exponent_min = -6, .max = 448.0f};
inline constexpr SmallFloat kE2m1{.mantissa_bits = 1, .exponent_min = 0, .max = 6.0f};

// Nearest, ties to even, saturating.
inline float round_to(SmallFloat format, float value) noexcept {
  const float size = std::abs(value);
  if (!(size < format.max)) return std::copysign(format.max, value);
  const int exponent = size > 0.0f ? std::ilogb(size) : format.exponent_min;
  const int step = std::max(exponent, format.exponent_min) - format.mantissa_bits;
  return std::ldexp(std::nearbyint(std::ldexp(value, -step)), step);
}

// One rounding to fp16 that saturates at its largest finite value instead of leaving it.
float round_to_fp16(float value) noexcept;

float largest_magnitude(std::span<const float> values) noexcept;

// Replaces a group of neighbouring values of a row by their decoded ones.
using GroupRounder = std::function<void(std::span<float>)>;

// Error: head_dim is no multiple of group.
Result<void> check_groups(const KvCodecOptions& options, int group);

// The format that rounds every `group` values of every row on their own, whatever their place.
MadeCodec make_grouped(const KvCodecOptions& options, int group, double bits, GroupRounder rounder);

// One T per (layer, head, half), made by whoever sees it first.
template <class T>
class PerHead {
 public:
  // make() gives the first value.
  template <class Make>
  T& at(const RowPlace& place, Make make) {
    const auto key = std::tuple(place.layer, place.kv_head, place.is_key);
    const auto found = held_.find(key);
    return found != held_.end() ? found->second : held_.emplace(key, make()).first->second;
  }

 private:
  std::map<std::tuple<LayerIdx, int, bool>, T> held_;
};

// Rows are rotated, coded by `inner`, and rotated back. The rotation comes from the seed, one for
// all heads, as in the store: no bits.
MadeCodec make_rotated(MadeCodec inner, const KvCodecOptions& options);

}  // namespace tq::bench
