// cvt and cvta.
#include <cmath>
#include <limits>

#include "quant/float16.h"
#include "tests/kernels/ptx/operations.h"

namespace tq::kernels::ptx {
namespace {

// Saturates; NaN is 0.
int32_t to_integer(float rounded) {
  constexpr float kEnd = 2147483648.0f;
  if (std::isnan(rounded)) return 0;
  if (rounded >= kEnd) return std::numeric_limits<int32_t>::max();
  return rounded < -kEnd ? std::numeric_limits<int32_t>::min() : static_cast<int32_t>(rounded);
}

uint32_t pair(uint16_t high, uint16_t low) { return uint32_t{high} << 16 | low; }

}  // namespace

Table conversions() {
  using quant::float_to_bf16;
  using quant::float_to_fp16;
  Table table;
  table["cvt.s64.s32"] = per_lane([](int32_t a) { return int64_t{a}; });
  table["cvt.u64.u32"] = per_lane([](uint32_t a) { return uint64_t{a}; });
  table["cvt.u32.u64"] = per_lane([](uint64_t a) { return static_cast<uint32_t>(a); });
  table["cvt.u32.u16"] = per_lane([](uint16_t a) { return uint32_t{a}; });
  table["cvt.u16.u32"] = per_lane([](uint32_t a) { return static_cast<uint16_t>(a); });
  table["cvt.s16.s8"] = per_lane([](uint16_t a) { return int16_t{static_cast<int8_t>(a)}; });
  table["cvt.s64.s8"] = per_lane([](uint64_t a) { return int64_t{static_cast<int8_t>(a)}; });
  table["cvt.s32.s16"] = per_lane([](int16_t a) { return int32_t{a}; });
  table["cvt.u64.u16"] = per_lane([](uint16_t a) { return uint64_t{a}; });
  table["cvt.rni.s32.f32"] = per_lane([](float a) { return to_integer(std::nearbyint(a)); });
  table["cvt.rzi.s32.f32"] = per_lane([](float a) { return to_integer(std::trunc(a)); });
  table["cvt.rzi.f32.f32"] = per_lane([](float a) { return std::trunc(a); });
  table["cvt.rni.f32.f32"] = per_lane([](float a) { return std::nearbyint(a); });
  table["cvt.rni.f64.f64"] = per_lane([](double a) { return std::nearbyint(a); });
  table["cvt.sat.f32.f32"] = per_lane([](float a) { return std::fmin(std::fmax(a, 0.0f), 1.0f); });
  table["cvt.rn.f32.s32"] = per_lane([](int32_t a) { return static_cast<float>(a); });
  table["cvt.rn.f64.s64"] = per_lane([](int64_t a) { return static_cast<double>(a); });
  table["cvt.f64.f32"] = per_lane([](float a) { return double{a}; });
  table["cvt.rn.f32.f64"] = per_lane([](double a) { return static_cast<float>(a); });
  table["cvt.f32.f16"] = per_lane([](uint16_t a) { return quant::fp16_to_float(a); });
  table["cvt.rn.bf16x2.f32"] =
      per_lane([](float high, float low) { return pair(float_to_bf16(high), float_to_bf16(low)); });
  table["cvt.rn.f16x2.f32"] =
      per_lane([](float high, float low) { return pair(float_to_fp16(high), float_to_fp16(low)); });
  // Accesses name their space, so generic addresses are the space's own.
  for (const std::string name : {"cvta.to.global.u64", "cvta.to.local.u64", "cvta.local.u64"}) {
    table[name] = per_lane([](uint64_t a) { return a; });
  }
  return table;
}

}  // namespace tq::kernels::ptx
