#pragma once
// RowCodec: one head vector <-> codes and a scale, in the rotated domain. The scalar reference that
// every backend of kernels/ must equal. Immutable; any thread.
//
// Encoding of y = rotated row, head_dim = d: n = |y|; code_j = argmin_k |y_j / n - c_k|, c the
// Lloyd-Max centroids of the Beta density of a coordinate on the unit sphere (TurboQuant, arXiv
// 2504.19874, Algorithm 1), rounded to int8 multiples of c_max/127, so that integer dot products
// read them exactly (at 4 bits +0.49, +0.18, +0.30 % MSE for dim 64, 128, 256). scale by ScaleRule,
// stored as fp16. Decoding: y~_j = scale * level[code_j], where level is the int8 centroid and the
// constant c_max/127 is folded into the scale.

#include <cstdint>
#include <span>

#include "config/kv_config.h"
#include "config/result.h"

namespace tq::quant {

class RowCodec {
 public:
  // bits 1..8 (kernels use 2..4); dim >= 2.
  static Result<RowCodec> create(int dim, int bits, ScaleRule rule);

  int dim() const noexcept { return dim_; }
  int bits() const noexcept { return bits_; }
  // int8 centroids by code, ascending, antisymmetric; 2^bits of them.
  std::span<const int8_t> levels() const noexcept { return {levels_, size_t{1} << bits_}; }
  float unit() const noexcept { return unit_; }  // c_max / 127, what one level stands for
  // Decision boundaries between neighbouring codes for y_j / |y|: 2^bits - 1, ascending (midpoints
  // of the unrounded centroids). A coordinate equal to a boundary takes the lower code.
  std::span<const float> boundaries() const noexcept {
    return {boundaries_, (size_t{1} << bits_) - 1};
  }

  // codes: one per byte. Returns the fp16 bit pattern of the scale, level constant folded in. A
  // zero row gives scale 0; a scale over fp16's 65504 saturates; NaN or infinity is
  // kInvalidArgument.
  Result<uint16_t> encode(std::span<const float> rotated, std::span<uint8_t> codes) const;
  void decode(std::span<const uint8_t> codes, uint16_t scale, std::span<float> rotated) const;
  // <rotated_q, decoded row>, accumulated in double.
  double score(std::span<const float> rotated_q,
               std::span<const uint8_t> codes,
               uint16_t scale) const;

 private:
  RowCodec() = default;
  int dim_ = 0;
  int bits_ = 0;
  ScaleRule rule_ = ScaleRule::kPlain;
  float unit_ = 0;  // c_max / 127
  int8_t levels_[256] = {};
  float boundaries_[255] = {};
};

}  // namespace tq::quant
