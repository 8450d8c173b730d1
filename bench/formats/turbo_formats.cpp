// TurboQuant as the store holds it, with the levers that its paper and its users argue about; the
// paper's Algorithm 2; and its fractional bits.
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
#include "quant/rotation.h"
#include "quant/row_codec.h"
#include "quant/turbo_ip.h"
#include "quant/turbo_mse.h"

namespace tq::bench {
namespace {

using quant::RowCodec;
using quant::TurboIp;
using quant::TurboMse;

constexpr double kFp16Bits = 16.0;

// One rotated row.
void round_row(const RowCodec& codec, std::span<float> row) {
  std::vector<uint8_t> codes(row.size());
  const uint16_t scale = codec.encode(row, codes).value();
  codec.decode(codes, scale, row);
}

// Quantisers for vectors at rest keep lengths as floats; on equal terms with the others they are
// fp16, divided by sqrt(dim) for the sake of its range.
void round_lengths(std::span<float> lengths, int dim) {
  const float root = std::sqrt(static_cast<float>(dim));
  for (float& length : lengths) length = root * round_to_fp16(length / root);
}

// TurboMse rotates by itself.
MadeCodec make_float_turbo(const KvCodecOptions& options, const TurboFormat& format) {
  const int dim = options.head_dim;
  TQ_ASSIGN(TurboMse quantiser, TurboMse::create({.dim = dim,
                                                  .bits = format.bits,
                                                  .seed = options.seed,
                                                  .rotation = format.rotation,
                                                  .scale_rule = format.rule}));
  return make_grouped(options, dim, format.bits + kFp16Bits / dim,
                      [quantiser = std::move(quantiser), dim](std::span<float> row) {
                        quant::TurboMseRows encoded = quantiser.encode(row).value();
                        round_lengths(encoded.scales, dim);
                        TQ_CHECK(quantiser.decode(encoded, row).ok(), "decodes what it encoded");
                      });
}

// A quarter of the channels, the outliers, at one bit more than the others; each part has its own
// rotation and scale. The outliers of a (layer, head, half) are the channels of largest L2 norm in
// the first block seen.
class Outlier final : public KvCodec {
 public:
  struct Part {
    RowCodec codec;
    quant::Rotation rotation;
  };

  Outlier(Part outliers, Part others)
      : outliers_(std::move(outliers)), others_(std::move(others)) {}

  double bits_per_value() const noexcept override {
    const double codes =
        outliers_.codec.dim() * outliers_.codec.bits() + others_.codec.dim() * others_.codec.bits();
    return (codes + 2.0 * kFp16Bits) / static_cast<double>(dim());
  }

  void round_trip(std::span<float> rows, const RowPlace& place) override {
    const std::vector<size_t>& order = orders_.at(place, [&] { return by_norm(rows); });
    std::vector<float> sorted(dim());
    const auto n_outliers = static_cast<size_t>(outliers_.codec.dim());
    for (size_t first = 0; first < rows.size(); first += dim()) {
      const std::span<float> row = rows.subspan(first, dim());
      for (size_t j = 0; j < dim(); ++j) sorted[j] = row[order[j]];
      round_part(outliers_, std::span(sorted).first(n_outliers));
      round_part(others_, std::span(sorted).subspan(n_outliers));
      for (size_t j = 0; j < dim(); ++j) row[order[j]] = sorted[j];
    }
  }

 private:
  size_t dim() const noexcept {
    return static_cast<size_t>(outliers_.codec.dim() + others_.codec.dim());
  }

  static void round_part(const Part& part, std::span<float> values) {
    part.rotation.apply(values);
    round_row(part.codec, values);
    part.rotation.apply_inverse(values);
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

  Part outliers_;
  Part others_;
  PerHead<std::vector<size_t>> orders_;
};

// Dense rotations: 3/4 of a head_dim is no power of two.
Result<Outlier::Part> make_part(int dim, int bits, uint64_t seed) {
  TQ_ASSIGN(RowCodec codec, RowCodec::create(dim, bits, ScaleRule::kUnbiased));
  TQ_ASSIGN(quant::Rotation rotation,
            quant::Rotation::create({.kind = RotationKind::kQr, .dim = dim, .seed = seed}));
  return Outlier::Part{codec, std::move(rotation)};
}

}  // namespace

MadeCodec make_turbo(const KvCodecOptions& options, const TurboFormat& format) {
  if (format.float_centroids) return make_float_turbo(options, format);
  TQ_ASSIGN(RowCodec codec, RowCodec::create(options.head_dim, format.bits, format.rule));
  MadeCodec inner =
      make_grouped(options, options.head_dim, format.bits + kFp16Bits / options.head_dim,
                   [codec](std::span<float> row) { round_row(codec, row); });
  return make_rotated(std::move(inner), options, format.rotation, format.scope);
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
  TQ_ASSIGN(Outlier::Part outliers, make_part(n_outliers, bits + 1, options.seed));
  TQ_ASSIGN(Outlier::Part others, make_part(options.head_dim - n_outliers, bits, options.seed + 1));
  return std::unique_ptr<KvCodec>(
      std::make_unique<Outlier>(std::move(outliers), std::move(others)));
}

}  // namespace tq::bench
