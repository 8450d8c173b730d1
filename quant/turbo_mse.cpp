#include "quant/turbo_mse.h"

#include <cmath>
#include <utility>

#include "quant/bitpack.h"
#include "quant/row_checks.h"

namespace tq::quant {

Result<TurboMse> TurboMse::create(const TurboMseOptions& options) {
  TQ_ASSIGN(Codebook book, make_codebook(options.dim, options.bits));
  TQ_ASSIGN(Rotation rotation,
            Rotation::create({.kind = options.rotation, .dim = options.dim, .seed = options.seed}));
  TurboMse quantiser(options, std::move(rotation));
  std::vector<double> levels = book.centroids;
  if (options.centroids == CentroidPrecision::kInt8) {
    const double unit = book.centroids.back() / 127.0;
    for (double& level : levels) level = std::round(level / unit) * unit;
  }
  quantiser.theory_mse_ = mse_with_levels(book, levels);
  quantiser.levels_.assign(levels.begin(), levels.end());
  quantiser.boundaries_.assign(book.boundaries.begin(), book.boundaries.end());
  return quantiser;
}

size_t TurboMse::code_bytes() const noexcept {
  return packed_bytes(static_cast<size_t>(options_.dim), options_.bits);
}

double TurboMse::bits_per_value() const noexcept {
  return 8.0 * static_cast<double>(row_bytes()) / options_.dim;
}

double TurboMse::choose_scale(double norm,
                              std::span<const float> unit,
                              std::span<const uint8_t> codes) const {
  if (norm == 0.0 || options_.scale_rule == ScaleRule::kPlain) return norm;
  double along = 0.0;   // <unit, levels>
  double square = 0.0;  // |levels|^2
  for (size_t j = 0; j < unit.size(); ++j) {
    const double level = levels_[codes[j]];
    along += unit[j] * level;
    square += level * level;
  }
  // Both are positive: the largest coordinate has a level that is not 0, of its own sign.
  return options_.scale_rule == ScaleRule::kMatched ? norm / std::sqrt(square) : norm / along;
}

Result<TurboMseRows> TurboMse::encode(std::span<const float> rows) const {
  const auto dim = static_cast<size_t>(options_.dim);
  if (rows.size() % dim != 0) {
    return size_error("rows", rows.size(), "a multiple of " + std::to_string(dim));
  }
  const size_t n = rows.size() / dim;
  TurboMseRows encoded;
  encoded.codes.resize(n * code_bytes());
  encoded.scales.resize(n);
  std::vector<float> unit(dim);
  std::vector<uint8_t> codes(dim);
  for (size_t i = 0; i < n; ++i) {
    const std::span<const float> row = rows.subspan(i * dim, dim);
    TQ_ASSIGN(const double norm, finite_norm(row));
    normalise(row, norm, unit);
    rotation_.apply(unit);
    for (size_t j = 0; j < dim; ++j) codes[j] = nearest_code(boundaries_, unit[j]);
    encoded.scales[i] = saturate(choose_scale(norm, unit, codes));
    pack_codes(codes, options_.bits,
               std::span(encoded.codes).subspan(i * code_bytes(), code_bytes()));
  }
  return encoded;
}

Result<void> TurboMse::decode(const TurboMseRows& encoded, std::span<float> rows) const {
  const auto dim = static_cast<size_t>(options_.dim);
  const size_t n = encoded.scales.size();
  if (encoded.codes.size() != n * code_bytes()) {
    return size_error("codes", encoded.codes.size(), std::to_string(n * code_bytes()));
  }
  if (rows.size() != n * dim) return size_error("rows", rows.size(), std::to_string(n * dim));
  std::vector<uint8_t> codes(dim);
  for (size_t i = 0; i < n; ++i) {
    const std::span<float> row = rows.subspan(i * dim, dim);
    unpack_codes(std::span(encoded.codes).subspan(i * code_bytes(), code_bytes()), options_.bits,
                 codes);
    for (size_t j = 0; j < dim; ++j) row[j] = levels_[codes[j]];
    rotation_.apply_inverse(row);
    for (float& value : row) value = saturate(static_cast<double>(value) * encoded.scales[i]);
  }
  return {};
}

Result<void> TurboMse::score(std::span<const float> q,
                             const TurboMseRows& encoded,
                             std::span<float> scores) const {
  const auto dim = static_cast<size_t>(options_.dim);
  const size_t n = encoded.scales.size();
  if (q.size() != dim) return size_error("q", q.size(), std::to_string(dim));
  if (encoded.codes.size() != n * code_bytes()) {
    return size_error("codes", encoded.codes.size(), std::to_string(n * code_bytes()));
  }
  if (scores.size() != n) return size_error("scores", scores.size(), std::to_string(n));
  TQ_ASSIGN(const double q_norm, finite_norm(q));
  std::vector<float> unit_q(dim);
  normalise(q, q_norm, unit_q);
  rotation_.apply(unit_q);
  std::vector<uint8_t> codes(dim);
  for (size_t i = 0; i < n; ++i) {
    unpack_codes(std::span(encoded.codes).subspan(i * code_bytes(), code_bytes()), options_.bits,
                 codes);
    double sum = 0.0;
    for (size_t j = 0; j < dim; ++j) sum += static_cast<double>(unit_q[j]) * levels_[codes[j]];
    scores[i] = saturate(sum * q_norm * encoded.scales[i]);
  }
  return {};
}

}  // namespace tq::quant
