#include "bench/quant_accuracy.h"

#include <cmath>
#include <numbers>
#include <span>

#include "bench/formats/kv_codec.h"
#include "quant/block_layout.h"
#include "quant/codebook.h"
#include "quant/random.h"
#include "quant/rotation.h"
#include "quant/row_codec.h"
#include "quant/turbo_ip.h"
#include "quant/turbo_mse.h"

namespace tq::bench {
namespace {

using quant::Rng;
using quant::RngStream;

class Mean {
 public:
  void add(double value) {
    ++n_;
    const double delta = value - mean_;
    mean_ += delta / n_;
    squares_ += delta * (value - mean_);
  }
  Estimate estimate() const {
    return {mean_, n_ < 2 ? 0.0 : 1.96 * std::sqrt(squares_ / (n_ - 1.0) / n_)};
  }

 private:
  double n_ = 0.0;
  double mean_ = 0.0;
  double squares_ = 0.0;
};

double dot(std::span<const float> a, std::span<const float> b) {
  double sum = 0.0;
  for (size_t i = 0; i < a.size(); ++i) sum += static_cast<double>(a[i]) * b[i];
  return sum;
}

std::vector<float> random_units(Rng& rng, int n, int dim) {
  std::vector<float> rows(static_cast<size_t>(n) * static_cast<size_t>(dim));
  const auto size = static_cast<size_t>(dim);
  for (float& value : rows) value = static_cast<float>(rng.gaussian());
  for (size_t start = 0; start < rows.size(); start += size) {
    const std::span<float> row = std::span(rows).subspan(start, size);
    const double inverse = 1.0 / std::sqrt(dot(row, row));
    for (float& value : row) value = static_cast<float>(value * inverse);
  }
  return rows;
}

// Fills what is measured of a row from decoded vectors. The slope is that of queries near x, q + x,
// for which <q + x, x> lies around 1 and a bias shows; the error is that of unrelated queries.
void measure(const VectorSample& sample, std::span<const float> decoded, AccuracyRow& row) {
  const auto dim = static_cast<size_t>(row.dim);
  Mean mse;
  Mean slope;
  Mean error;
  Mean error_square;
  for (size_t start = 0; start < sample.x.size(); start += dim) {
    const std::span<const float> x = std::span(sample.x).subspan(start, dim);
    const std::span<const float> q = std::span(sample.q).subspan(start, dim);
    const std::span<const float> got = decoded.subspan(start, dim);
    const double x_square = dot(x, x);
    const double lengths = std::sqrt(x_square * dot(q, q));
    double square = 0.0;
    for (size_t j = 0; j < dim; ++j) square += std::pow(static_cast<double>(x[j]) - got[j], 2);
    mse.add(square / x_square);
    const double exact = dot(q, x) / lengths;
    const double e = dot(q, got) / lengths - exact;
    error.add(e);
    error_square.add(e * e * row.dim);
    slope.add((exact + e + dot(x, got) / x_square) / (exact + 1.0));
  }
  row.mse = mse.estimate();
  row.slope = slope.estimate();
  row.error = error.estimate();
  row.error_square = error_square.estimate();
}

Result<AccuracyRow> measure_mse(const AccuracyOptions& options,
                                const VectorSample& sample,
                                quant::ScaleRule rule,
                                quant::CentroidPrecision precision,
                                const char* name) {
  TQ_ASSIGN(const quant::TurboMse quantiser, quant::TurboMse::create({.dim = options.dim,
                                                                      .bits = options.bits,
                                                                      .seed = options.seed,
                                                                      .scale_rule = rule,
                                                                      .centroids = precision}));
  TQ_ASSIGN(const quant::TurboMseRows rows, quantiser.encode(sample.x));
  std::vector<float> decoded(sample.x.size());
  TQ_TRY(quantiser.decode(rows, decoded));
  AccuracyRow row{.quantiser = name, .dim = options.dim, .bits = options.bits};
  row.bits_per_value = quantiser.bits_per_value();
  measure(sample, decoded, row);
  if (rule == quant::ScaleRule::kPlain) {
    row.mse_theory = quantiser.theory_mse();
    row.mse_bound = quant::theorem1_bound(options.bits);
    // E <x, x~> = 1 - D holds for centroids, not for rounded ones.
    if (precision == quant::CentroidPrecision::kFloat32) row.slope_theory = 1.0 - row.mse_theory;
    row.error_theory = row.mse_theory;
  } else if (rule == quant::ScaleRule::kUnbiased) {
    row.slope_theory = 1.0;
  }
  return row;
}

// TurboIp is unbiased over the draw of its projection, so the vectors are dealt to several draws.
Result<AccuracyRow> measure_ip(const AccuracyOptions& options, const VectorSample& sample) {
  constexpr size_t kDraws = 64;
  AccuracyRow row{.quantiser = "ip", .dim = options.dim, .bits = options.bits};
  std::vector<float> decoded(sample.x.size());
  const auto n_rows = static_cast<size_t>(sample.n_rows());
  const auto dim = static_cast<size_t>(options.dim);
  for (size_t draw = 0; draw < kDraws; ++draw) {
    TQ_ASSIGN(const quant::TurboIp quantiser,
              quant::TurboIp::create(
                  {.dim = options.dim, .bits = options.bits, .seed = options.seed + draw}));
    const size_t first = n_rows * draw / kDraws * dim;
    const size_t n_values = n_rows * (draw + 1) / kDraws * dim - first;
    TQ_ASSIGN(const quant::TurboIpRows rows,
              quantiser.encode(std::span(sample.x).subspan(first, n_values)));
    TQ_TRY(quantiser.decode(rows, std::span(decoded).subspan(first, n_values)));
    row.bits_per_value = quantiser.bits_per_value();
    row.error_theory = quantiser.theory_variance() * options.dim;
  }
  measure(sample, decoded, row);
  row.slope_theory = 1.0;
  row.error_bound =
      std::sqrt(3.0) * std::numbers::pi * std::numbers::pi * std::pow(4.0, -options.bits);
  return row;
}

// The KV store's coder of one half, tile by tile.
Result<AccuracyRow> measure_store(const AccuracyOptions& options,
                                  const VectorSample& sample,
                                  bool is_key) {
  TQ_ASSIGN(const auto codec, make_kv_codec("tq" + std::to_string(options.bits),
                                            {.head_dim = options.dim, .seed = options.seed}));
  std::vector<float> decoded = sample.x;
  codec->round_trip(decoded, {.is_key = is_key});
  AccuracyRow row{.quantiser = is_key ? "KV keys" : "KV values",
                  .dim = options.dim,
                  .bits = options.bits,
                  .bits_per_value = codec->bits_per_value(is_key)};
  measure(sample, decoded, row);
  return row;
}

}  // namespace

VectorSample random_sample(int n_rows, int dim, uint64_t seed) {
  Rng rng(seed, RngStream::kData);
  VectorSample sample{.dim = dim, .x = random_units(rng, n_rows, dim), .q = {}};
  sample.q = random_units(rng, n_rows, dim);
  return sample;
}

bool store_takes(int dim, int bits) {
  return quant::RowCodec::create({.dim = dim, .bits = bits, .group = quant::kKeyGroup}).ok();
}

double lower_bound(int bits) { return std::pow(4.0, -bits); }

Result<std::vector<AccuracyRow>> measure_accuracy(const AccuracyOptions& options,
                                                  const VectorSample& sample) {
  std::vector<AccuracyRow> rows;
  using enum quant::CentroidPrecision;
  struct Variant {
    quant::ScaleRule rule;
    quant::CentroidPrecision precision;
    const char* name;
  };
  for (const Variant& variant : {Variant{quant::ScaleRule::kPlain, kFloat32, "mse plain"},
                                 Variant{quant::ScaleRule::kPlain, kInt8, "mse plain int8"},
                                 Variant{quant::ScaleRule::kMatched, kFloat32, "mse matched"},
                                 Variant{quant::ScaleRule::kUnbiased, kFloat32, "mse unbiased"}}) {
    TQ_ASSIGN(AccuracyRow row,
              measure_mse(options, sample, variant.rule, variant.precision, variant.name));
    rows.push_back(std::move(row));
  }
  if (store_takes(options.dim, options.bits)) {
    for (const bool is_key : {true, false}) {
      TQ_ASSIGN(AccuracyRow row, measure_store(options, sample, is_key));
      rows.push_back(std::move(row));
    }
  }
  TQ_ASSIGN(AccuracyRow ip, measure_ip(options, sample));
  rows.push_back(std::move(ip));
  return rows;
}

Result<std::vector<SpikeRow>> measure_spikes(const AccuracyOptions& options) {
  constexpr int kTrials = 2000;
  const auto dim = static_cast<size_t>(options.dim);
  TQ_ASSIGN(const quant::Codebook book, quant::make_codebook(options.dim, options.bits));
  const std::vector<float> edges(book.boundaries.begin(), book.boundaries.end());
  Rng rng(options.seed, RngStream::kData);
  std::vector<SpikeRow> result;
  for (const int n_spikes : {1, 2, 4, 16}) {
    Mean means[2];
    for (int trial = 0; trial < kTrials; ++trial) {
      // Equal magnitudes at random places: the worst case for few rounds of signs.
      std::vector<float> y(dim, 0.0f);
      for (int i = 0; i < n_spikes; ++i) y[static_cast<size_t>(rng.below(options.dim))] = 1.0f;
      const double norm = std::sqrt(dot(y, y));
      for (float& value : y) value = static_cast<float>(value / norm);
      for (Mean& mean : means) {
        for (float& value : y) value *= rng.sign();
        quant::walsh_hadamard(y);
        for (float& value : y) value /= static_cast<float>(std::sqrt(options.dim));
        double square = 0.0;
        for (const float value : y) {
          square += std::pow(value - book.centroids[quant::nearest_code(edges, value)], 2);
        }
        mean.add(square);
      }
    }
    result.push_back({.dim = options.dim,
                      .bits = options.bits,
                      .n_spikes = n_spikes,
                      .one_round = means[0].estimate(),
                      .two_rounds = means[1].estimate(),
                      .theory = book.mse});
  }
  return result;
}

}  // namespace tq::bench
