// TurboQuant as its paper has it: Algorithms 1 and 2, and its fractional bits.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <memory>
#include <numeric>
#include <span>
#include <utility>
#include <vector>

#include "bench/formats/formats.h"
#include "bench/formats/parts.h"
#include "config/check.h"
#include "config/kv_config.h"
#include "quant/turbo_ip.h"
#include "quant/turbo_mse.h"

namespace tq::bench {
namespace {

using quant::TurboIp;
using quant::TurboMse;

constexpr double kFp16Bits = 16.0;

// Quantisers for vectors at rest keep lengths as floats; on equal terms with the others they are
// fp16, divided by sqrt(dim) for the sake of its range.
void round_lengths(std::span<float> lengths, int dim) {
  const float root = std::sqrt(static_cast<float>(dim));
  for (float& length : lengths) length = root * round_to_fp16(length / root);
}

// One row, which TurboMse rotates by itself.
void round_row(const TurboMse& quantiser, std::span<float> row) {
  quant::TurboMseRows encoded = quantiser.encode(row).value();
  round_lengths(encoded.scales, quantiser.options().dim);
  TQ_CHECK(quantiser.decode(encoded, row).ok(), "decodes what it encoded");
}

// A quarter of the channels, the outliers, at one bit more than the others; each part has its own
// rotation and scale. The outliers of a (layer, head, half) are the channels of largest L2 norm in
// the first block seen.
class Outlier final : public KvCodec {
 public:
  Outlier(TurboMse outliers, TurboMse others)
      : outliers_(std::move(outliers)), others_(std::move(others)) {}

  double bits_per_value(bool /*is_key*/) const noexcept override {
    const quant::TurboMseOptions& a = outliers_.options();
    const quant::TurboMseOptions& b = others_.options();
    return (a.dim * a.bits + b.dim * b.bits + 2.0 * kFp16Bits) / static_cast<double>(dim());
  }

  void round_trip(std::span<float> rows, const RowPlace& place) override {
    const std::vector<size_t>& order = orders_.at(place, [&] { return by_norm(rows); });
    std::vector<float> sorted(dim());
    const auto n_outliers = static_cast<size_t>(outliers_.options().dim);
    for (size_t first = 0; first < rows.size(); first += dim()) {
      const std::span<float> row = rows.subspan(first, dim());
      for (size_t j = 0; j < dim(); ++j) sorted[j] = row[order[j]];
      round_row(outliers_, std::span(sorted).first(n_outliers));
      round_row(others_, std::span(sorted).subspan(n_outliers));
      for (size_t j = 0; j < dim(); ++j) row[order[j]] = sorted[j];
    }
  }

 private:
  size_t dim() const noexcept {
    return static_cast<size_t>(outliers_.options().dim + others_.options().dim);
  }

  // Channels, those of largest norm first.
  std::vector<size_t> by_norm(std::span<const float> rows) const {
    std::vector<double> squares(dim(), 0.0);
    for (size_t i = 0; i < rows.size(); ++i) {
      squares[i % dim()] += static_cast<double>(rows[i]) * rows[i];
    }
    std::vector<size_t> order(dim());
    std::iota(order.begin(), order.end(), size_t{0});
    std::stable_sort(order.begin(), order.end(),
                     [&](size_t a, size_t b) { return squares[a] > squares[b]; });
    return order;
  }

  TurboMse outliers_;
  TurboMse others_;
  PerHead<std::vector<size_t>> orders_;
};

// Dense rotations: 3/4 of a head_dim is no power of two.
Result<TurboMse> make_part(int dim, int bits, uint64_t seed) {
  return TurboMse::create({.dim = dim,
                           .bits = bits,
                           .seed = seed,
                           .rotation = RotationKind::kQr,
                           .scale_rule = quant::ScaleRule::kUnbiased});
}

}  // namespace

MadeCodec make_turbo_mse(const KvCodecOptions& options, int bits) {
  const int dim = options.head_dim;
  TQ_ASSIGN(TurboMse quantiser, TurboMse::create({.dim = dim, .bits = bits, .seed = options.seed}));
  return make_grouped(
      options, dim, bits + kFp16Bits / dim,
      [quantiser = std::move(quantiser)](std::span<float> row) { round_row(quantiser, row); });
}

MadeCodec make_turbo_ip(const KvCodecOptions& options, int bits) {
  const int dim = options.head_dim;
  TQ_ASSIGN(TurboIp quantiser, TurboIp::create({.dim = dim, .bits = bits, .seed = options.seed}));
  return make_grouped(options, dim, bits + 2.0 * kFp16Bits / dim,
                      [quantiser = std::move(quantiser), dim](std::span<float> row) {
                        quant::TurboIpRows encoded = quantiser.encode(row).value();
                        round_lengths(encoded.norms, dim);
                        round_lengths(encoded.gammas, dim);
                        TQ_CHECK(quantiser.decode(encoded, row).ok(), "decodes what it encoded");
                      });
}

MadeCodec make_outlier(const KvCodecOptions& options, int bits) {
  TQ_TRY(check_groups(options, 8));  // a quarter of it has two dimensions
  const int n_outliers = options.head_dim / 4;
  TQ_ASSIGN(TurboMse outliers, make_part(n_outliers, bits + 1, options.seed));
  TQ_ASSIGN(TurboMse others, make_part(options.head_dim - n_outliers, bits, options.seed + 1));
  return std::unique_ptr<KvCodec>(
      std::make_unique<Outlier>(std::move(outliers), std::move(others)));
}

}  // namespace tq::bench
