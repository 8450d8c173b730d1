#pragma once
// TurboMse: Algorithm 1 of TurboQuant (arXiv 2504.19874) as a quantiser of its own, for vectors at
// rest: rotate, round each coordinate of the unit vector to its Lloyd-Max centroid, keep the length
// as a float. What the KV store does with a row is quant/row_codec.h. Immutable; any thread.
// Nothing is global.

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "config/kv_config.h"
#include "config/result.h"
#include "quant/codebook.h"
#include "quant/rotation.h"

namespace tq::quant {

// How the scale of a row is chosen at encode; decoding is scale * centroid in every case.
enum class ScaleRule : uint8_t {
  kPlain,     // |x|: the paper's Algorithm 1
  kMatched,   // |x| / |c|: the decoded row has the norm of the row
  kUnbiased,  // |x|^2 / <x, c>: inner products with the row itself are exact (EDEN)
};

enum class CentroidPrecision : uint8_t {
  kFloat32,  // as computed: the paper's
  kInt8,     // multiples of c_max / 127
};

struct TurboMseOptions {
  int dim = 0;
  int bits = 4;  // 1..8
  uint64_t seed = 0;
  RotationKind rotation = RotationKind::kAuto;
  ScaleRule scale_rule = ScaleRule::kPlain;
  CentroidPrecision centroids = CentroidPrecision::kFloat32;
};

// n encoded rows.
struct TurboMseRows {
  std::vector<std::byte> codes;  // [n, code_bytes()], quant/bitpack.h
  std::vector<float> scales;     // [n]; under ScaleRule::kPlain the norm of the row
};

class TurboMse {
 public:
  // Errors: dim, bits or rotation out of range, named as in TurboMseOptions.
  static Result<TurboMse> create(const TurboMseOptions& options);

  const TurboMseOptions& options() const noexcept { return options_; }
  const Rotation& rotation() const noexcept { return rotation_; }
  std::span<const float> levels() const noexcept { return levels_; }  // by code, ascending
  size_t code_bytes() const noexcept;                                 // of a row
  size_t row_bytes() const noexcept { return code_bytes() + sizeof(float); }
  double bits_per_value() const noexcept;  // scale included
  // Expected |x - x~|^2 / |x|^2 under ScaleRule::kPlain, levels as rounded.
  double theory_mse() const noexcept { return theory_mse_; }

  // rows [n, dim]. Errors: a size that is no multiple of dim; a NaN or infinity. A length over the
  // largest float saturates there.
  Result<TurboMseRows> encode(std::span<const float> rows) const;
  // rows [n, dim]. Decoded values saturate at the largest float.
  Result<void> decode(const TurboMseRows& encoded, std::span<float> rows) const;
  // scores[i] = <q, decoded row i>. q is rotated once; no row is un-rotated.
  Result<void> score(std::span<const float> q,
                     const TurboMseRows& encoded,
                     std::span<float> scores) const;

 private:
  TurboMse(const TurboMseOptions& options, Rotation rotation)
      : options_(options), rotation_(std::move(rotation)) {}
  double choose_scale(double norm,
                      std::span<const float> unit,
                      std::span<const uint8_t> codes) const;

  TurboMseOptions options_;
  Rotation rotation_;
  std::vector<float> levels_;
  std::vector<float> boundaries_;
  double theory_mse_ = 0.0;
};

}  // namespace tq::quant
