#pragma once
// Conversions between float and the two 16-bit formats, round to nearest even. Pure; any thread.

#include <bit>
#include <cstdint>

namespace tq::quant {

constexpr float bf16_to_float(uint16_t bits) noexcept {
  return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
}

constexpr uint16_t float_to_bf16(float value) noexcept {
  const auto bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u)
    return static_cast<uint16_t>(bits >> 16 | 0x40u);  // quiet NaN
  return static_cast<uint16_t>((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

float fp16_to_float(uint16_t bits) noexcept;
uint16_t float_to_fp16(float value) noexcept;  // overflow gives infinity

}  // namespace tq::quant
