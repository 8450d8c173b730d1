#pragma once
// The queries of a pass as B operands of the products with keys, for attend_keys.cuh.

#include "kernels/cuda/attend_codes.cuh"
#include "kernels/cuda/attend_place.cuh"

namespace tq::kernels::cuda {

// Sums over lanes t have one scale only if their dimensions lie in one group of 16: so there is a
// product of lanes 0 and 1 and one of lanes 2 and 3, where the others' coefficients are zero. An
// MMA has 8 columns: with kQueries = 8 the products are two MMAs; with 4 they are the two halves of
// one, and columns 4 to 7 are, once the halves have been added, queries 0 to 3 again.
template <int kQueries>
inline constexpr int kProducts = kQueries / 4;
inline constexpr int kColumns = 8;

// Queries as B operands. `row` is the query of the lane's own column g: rotated, [kDim]; null:
// none.
template <int kBits, int kDim, int kQueries>
struct KeyQueries {
  // Both products have the same coefficients, each those of other lanes: without room they are kept
  // once, and each product chooses.
  static constexpr bool kOnce = kQueries == 8 && !kRoomy<kDim>;
  static constexpr int kKept = kOnce ? 1 : kProducts<kQueries>;
  uint32_t b[kKept][kSteps<kDim>][2];
  float unit[2];  // of columns 2t and 2t + 1: one step of their coefficients, times kScaleUnitRoot

  __device__ __forceinline__ void load(const float* row, float scale_log2, int lane) {
    const int g = lane / 4, t = lane % 4;
    float largest = 0.0f;
    for (int step = 0; step < kSteps<kDim>; ++step) {
      for (int e = 0; e < 8 && row != nullptr && reaches<kDim>(step, t / 2 * kKeyGroup); ++e) {
        largest = fmaxf(largest, fabsf(row[key_dim<kBits>(step, t, e)]));
      }
    }
    largest = fmaxf(largest, __shfl_xor_sync(~0u, largest, 1));
    largest = fmaxf(largest, __shfl_xor_sync(~0u, largest, 2));
    const float per_unit = largest > 1e-30f ? 127.0f / largest : 0.0f;
    const float one = largest * (1.0f / 127.0f) * scale_log2 * kScaleUnitRoot;
#pragma unroll
    for (int j = 0; j < 2; ++j) unit[j] = __shfl_sync(~0u, one, 4 * (2 * t + j));
#pragma unroll
    for (int step = 0; step < kSteps<kDim>; ++step) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        uint32_t packed = 0;
#pragma unroll
        for (int e = 0; e < 4 && row != nullptr && reaches<kDim>(step, t / 2 * kKeyGroup); ++e) {
          const float q = row[key_dim<kBits>(step, t, 4 * half + e)];
          packed |= (static_cast<uint32_t>(__float2int_rn(q * per_unit)) & 0xffu) << 8 * e;
        }
#pragma unroll
        for (int product = 0; product < kKept; ++product) {
          const bool first = kQueries == 4 ? g < 4 : product == 0;
          b[product][step][half] = kOnce || (t < 2) == first ? packed : 0;
        }
      }
    }
  }

  // Register `half` of a product's B, in lane t.
  __device__ __forceinline__ uint32_t operand(int product, int step, int half, int t) const {
    if constexpr (kOnce) return (t < 2) == (product == 0) ? b[0][step][half] : 0;
    return b[product][step][half];
  }
};

// In bf16, the products are of a query's two parts: its rounding would be the only error.
template <int kDim, int kQueries>
struct KeyQueries<16, kDim, kQueries> {
  uint32_t b[kProducts<kQueries>][kSteps<kDim>][4];  // 4 pairs of dimensions

  __device__ __forceinline__ void load(const float* row, float scale_log2, int lane) {
#pragma unroll
    for (int step = 0; step < kSteps<kDim>; ++step) {
#pragma unroll
      for (int pair = 0; pair < 4; ++pair) {
        const int dim = key_dim<16>(step, lane % 4, 2 * pair);
        const bool has = row != nullptr && reaches<kDim>(step, lane % 4 / 2 * kKeyGroup);
        const float x = has ? row[dim] * scale_log2 : 0.0f;
        const float y = has ? row[dim + 1] * scale_log2 : 0.0f;
        const uint32_t high = pack_bf16(x, y);
        const uint32_t low =
            pack_bf16(x - __uint_as_float(high << 16), y - __uint_as_float(high & 0xffff0000u));
#pragma unroll
        for (int product = 0; product < kProducts<kQueries>; ++product) {
          const bool first = kQueries == 4 ? lane < 16 : product == 0;
          b[product][step][pair] = first ? high : low;
        }
      }
    }
  }
};

}  // namespace tq::kernels::cuda
