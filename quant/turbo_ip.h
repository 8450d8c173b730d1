#pragma once
// TurboIp: Algorithm 2 of TurboQuant (arXiv 2504.19874): TurboMse at bits - 1, and one bit per
// dimension of the residual through a quantised Johnson-Lindenstrauss projection, which makes inner
// products unbiased. Kept as a quantiser of its own: inside softmax its variance hurts more than
// the bias of TurboMse, so the KV store does not use it. Immutable; any thread. Nothing is global.

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "config/kv_config.h"
#include "config/result.h"
#include "quant/rotation.h"

namespace tq::quant {

struct TurboIpOptions {
  int dim = 0;
  int bits = 4;  // 1..8, the projection's bit included; 1 is the projection alone
  uint64_t seed = 0;
  RotationKind rotation = RotationKind::kAuto;
};

// n encoded rows.
struct TurboIpRows {
  std::vector<std::byte> codes;  // [n, code_bytes()]: bits - 1 of each dimension, then its sign bit
  std::vector<float> norms;      // [n] |x|
  std::vector<float> gammas;     // [n] |residual| of the unit vector
};

class TurboIp {
 public:
  // Errors: dim, bits or rotation out of range, named as in TurboIpOptions.
  static Result<TurboIp> create(const TurboIpOptions& options);

  const TurboIpOptions& options() const noexcept { return options_; }
  size_t code_bytes() const noexcept;  // of a row
  size_t row_bytes() const noexcept { return code_bytes() + 2 * sizeof(float); }
  double bits_per_value() const noexcept;  // norm and gamma included
  // Expected (<y, x~> - <y, x>)^2 for unit x and y, but for a term of order 1/d^2: pi/2 D_mse(bits
  // - 1) / d.
  double theory_variance() const noexcept;

  // As TurboMse's. Decoding gives x~ = |x| (x~_mse + sqrt(pi/2)/d gamma S^T sign).
  Result<TurboIpRows> encode(std::span<const float> rows) const;
  Result<void> decode(const TurboIpRows& encoded, std::span<float> rows) const;
  // scores[i] = <q, decoded row i>: q is rotated and projected once.
  Result<void> score(std::span<const float> q,
                     const TurboIpRows& encoded,
                     std::span<float> scores) const;

 private:
  TurboIp(const TurboIpOptions& options, Rotation rotation)
      : options_(options), rotation_(std::move(rotation)) {}
  size_t mse_bytes() const noexcept;
  Result<void> check_sizes(const TurboIpRows& encoded) const;
  void unpack(const TurboIpRows& encoded,
              size_t row,
              std::span<uint8_t> codes,
              std::span<uint8_t> signs) const;
  float qjl_factor() const noexcept;

  TurboIpOptions options_;
  Rotation rotation_;
  std::vector<float> levels_;      // of bits - 1; one zero where bits is 1
  std::vector<float> boundaries_;  // empty where bits is 1
  double residual_mse_ = 1.0;      // D_mse(bits - 1)
  // S, dense N(0, 1), and its transpose. It acts on rotated residuals: S Pi has the law of S and is
  // independent of Pi, so this is the paper's projection without an un-rotation per row.
  std::vector<float> projection_;  // [dim, dim]
  std::vector<float> projection_transposed_;
};

}  // namespace tq::quant
