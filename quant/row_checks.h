#pragma once
// What TurboMse and TurboIp ask of their callers' rows, and how they leave the range of floats.
// Pure; any thread.

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>
#include <string>
#include <string_view>

#include "config/result.h"

namespace tq::quant {

inline Error size_error(std::string_view where, size_t got, std::string_view rule) {
  return Error{Code::kInvalidArgument,
               std::to_string(got) + " values where " + std::string(rule) + " are needed",
               std::string(where)};
}

// |row|; NaN or infinity in the row is an error. Squares of finite floats cannot overflow the sum
// in double.
inline Result<double> finite_norm(std::span<const float> row) {
  double sum = 0.0;
  for (const float value : row) sum += static_cast<double>(value) * value;
  if (!std::isfinite(sum)) {
    return Error{Code::kInvalidArgument, "a row holds NaN or infinity", "rows"};
  }
  return std::sqrt(sum);
}

// out = row / norm; zeros stay zeros.
inline void normalise(std::span<const float> row, double norm, std::span<float> out) noexcept {
  const double inverse = norm > 0.0 ? 1.0 / norm : 0.0;
  for (size_t j = 0; j < row.size(); ++j) out[j] = static_cast<float>(row[j] * inverse);
}

inline float saturate(double value) noexcept {
  constexpr double kMax = std::numeric_limits<float>::max();
  return static_cast<float>(std::clamp(value, -kMax, kMax));
}

}  // namespace tq::quant
