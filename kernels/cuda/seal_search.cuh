#pragma once
// quant::RowCodec's search and codes for one group of coordinates of 32 tokens: a lane is a token.
// Integers are exact in any order and floats meet the same operations one by one, so that scales
// and codes are quant's, to the bit. For seal.cu, which is compiled without contraction.

#include <bit>
#include <cmath>
#include <cstdint>

#include "kernels/cuda/launch.h"

namespace tq::kernels::cuda {

inline constexpr int kStepsPerLevel = 16;      // quant::ScaleSearch
inline constexpr float kStepsMax = 6000.0f;    // quant::ScaleSearch
inline constexpr float kTinyGroup = 0x1p-18f;  // quant::ScaleFormat::tiny(), in its units

// What is the same for all groups of a half. Look-up tables lie in shared memory: 32 words in 32
// banks, so that lanes with different cells do not meet.
struct GroupCodec {
  const uint32_t* cells = nullptr;
  const uint8_t* codes = nullptr;
  float search_from = 0.0f;
  int n_candidates = 0;
};

// kBits of a code, kBooks codebooks, at most kMax coordinates.
template <int kBits, int kBooks, int kMax>
struct Group {
  static constexpr int kBookBits = kBooks == 4 ? 2 : kBooks == 2 ? 1 : 0;
  static constexpr int kLargestScale = 0x7f >> kBookBits;
  static constexpr float kUnit = kBookBits == 0 ? 1.0f : kBookBits == 1 ? 0x1p8f : 0x1p12f;

  float x[kMax];  // over 2^exponent
  int n = kMax;   // the same for all lanes

  // All coordinates of the group: use(j, x[j]).
  template <class Use>
  __device__ void each(Use use) const {
#pragma unroll
    for (int j = 0; j < kMax; ++j) {
      if (j < n) use(j, x[j]);
    }
  }

  __device__ static float scale_value(int magnitude) {
    return std::bit_cast<float>(static_cast<uint32_t>(magnitude) << 20) * (0x1p112f * kUnit);
  }
  __device__ static float steps_per_unit(float scale) { return 127.0f * kStepsPerLevel / scale; }
  __device__ static int to_steps(float value, float per_unit) {
    return static_cast<int>(rintf(fminf(fmaxf(value * per_unit, -kStepsMax), kStepsMax)));
  }

  __device__ static int cell_of(int steps) {
    const int cell = (steps + CodecView::kCells / 2 * CodecView::kCellSteps) >> 7;
    return min(max(cell, 0), CodecView::kCells - 1);
  }
  __device__ static int byte_level(int steps) {
    return min(max((steps + kStepsPerLevel / 2) >> 4, -127), 127);
  }

  __device__ static int squared_error(int steps, const uint32_t* cells) {
    int level;
    if constexpr (kBits == 8) {
      level = kStepsPerLevel * byte_level(steps);
    } else {
      const auto cell = static_cast<int32_t>(cells[cell_of(steps)]);
      const int32_t chosen = steps > (cell >> 16) ? cell << 16 : cell << 24;
      level = (chosen >> 24) * kStepsPerLevel;
    }
    return (level - steps) * (level - steps);
  }

  // The magnitude to start from: that of `from` times the largest coordinate as an fp16.
  __device__ static int first_scale(float largest, float from) {
    const uint32_t bits = std::bit_cast<uint32_t>(from * largest / kUnit);
    uint32_t half;
    if (bits >= 0x47800000u) {
      half = 0x7c00u;
    } else if (bits < 0x38800000u) {
      half = std::bit_cast<uint32_t>(std::bit_cast<float>(bits) + 0.5f) - 0x3f000000u;
    } else {
      half = (bits - 0x38000000u + 0xfffu + (bits >> 13 & 1u)) >> 13;
    }
    return min(max(static_cast<int>(half >> 7), 1), kLargestScale);
  }

  __device__ uint8_t search(const GroupCodec& codec) const {
    float largest = 0.0f;
    each([&](int, float value) { largest = fmaxf(largest, fabsf(value)); });
    if (largest < kTinyGroup * kUnit) return 0;
    const int first = first_scale(largest, codec.search_from);
    float least = INFINITY;
    int best = 0;
    for (int candidate = 0; candidate < codec.n_candidates; ++candidate) {
      const int magnitude = min(first + candidate, kLargestScale);
      const float value = scale_value(magnitude);
      const float per_unit = steps_per_unit(value);
      int errors[kBooks][2] = {};
      each([&](int, float coordinate) {
        const int steps = to_steps(coordinate, per_unit);
#pragma unroll
        for (int book = 0; book < kBooks; ++book) {
          const uint32_t* const cells = codec.cells + book * CodecView::kCells;
          errors[book][0] += squared_error(steps, cells);
          if (kBits != 8) errors[book][1] += squared_error(-steps, cells);
        }
      });
#pragma unroll
      for (int i = 0; i < 2 * kBooks; ++i) {
        const int book = i / 2;
        const bool negative = i % 2 == 1;
        if (negative && kBits == 8) continue;
        const float error = static_cast<float>(errors[book][i % 2]) * (value * value);
        if (error >= least) continue;
        least = error;
        best = magnitude | book << (7 - kBookBits) | (negative ? 0x80 : 0);
      }
    }
    return static_cast<uint8_t>(best);
  }

  // use(j, code) for the group's coordinates under a scale that search() found.
  template <class Use>
  __device__ void encode(uint8_t scale, const GroupCodec& codec, Use use) const {
    const float magnitude = scale_value(scale & kLargestScale);
    const float per_unit = steps_per_unit((scale & 0x80) != 0 ? -magnitude : magnitude);
    const int book = (scale & 0x7f) >> (7 - kBookBits);
    each([&](int j, float value) {
      uint32_t code = 0;
      if (scale != 0) {
        const int steps = to_steps(value, per_unit);
        if constexpr (kBits == 8) {
          code = static_cast<uint8_t>(byte_level(steps));
        } else {
          const int at = book * CodecView::kCells + cell_of(steps);
          code =
              codec.codes[at] + (steps > (static_cast<int32_t>(codec.cells[at]) >> 16) ? 1u : 0u);
        }
      }
      use(j, code);
    });
  }
};

}  // namespace tq::kernels::cuda
