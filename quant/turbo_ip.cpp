#include "quant/turbo_ip.h"

#include <cmath>
#include <numbers>
#include <string>
#include <utility>

#include "quant/bitpack.h"
#include "quant/codebook.h"
#include "quant/dense_matrix.h"
#include "quant/random.h"
#include "quant/row_checks.h"

namespace tq::quant {

Result<TurboIp> TurboIp::create(const TurboIpOptions& options) {
  if (options.bits < 1 || options.bits > kBitsMax) {
    return Error{Code::kInvalidArgument,
                 "TurboIp has 1 to 8 bits, not " + std::to_string(options.bits), "bits"};
  }
  TQ_ASSIGN(Rotation rotation,
            Rotation::create({.kind = options.rotation, .dim = options.dim, .seed = options.seed}));
  TurboIp quantiser(options, std::move(rotation));
  quantiser.levels_ = {0.0f};
  if (options.bits > 1) {
    TQ_ASSIGN(const Codebook book, make_codebook(options.dim, options.bits - 1));
    quantiser.levels_.assign(book.centroids.begin(), book.centroids.end());
    quantiser.boundaries_.assign(book.boundaries.begin(), book.boundaries.end());
    quantiser.residual_mse_ = book.mse;
  }
  const auto dim = static_cast<size_t>(options.dim);
  quantiser.projection_.resize(dim * dim);
  Rng rng(options.seed, RngStream::kQjlMatrix);
  for (float& value : quantiser.projection_) value = static_cast<float>(rng.gaussian());
  quantiser.projection_transposed_ = transposed(quantiser.projection_, options.dim);
  return quantiser;
}

size_t TurboIp::mse_bytes() const noexcept {
  return packed_bytes(static_cast<size_t>(options_.dim), options_.bits - 1);
}

size_t TurboIp::code_bytes() const noexcept {
  return mse_bytes() + packed_bytes(static_cast<size_t>(options_.dim), 1);
}

double TurboIp::bits_per_value() const noexcept {
  return 8.0 * static_cast<double>(row_bytes()) / options_.dim;
}

double TurboIp::theory_variance() const noexcept {
  return std::numbers::pi / 2.0 * residual_mse_ / options_.dim;
}

float TurboIp::qjl_factor() const noexcept {
  return static_cast<float>(std::sqrt(std::numbers::pi / 2.0) / options_.dim);
}

Result<void> TurboIp::check_sizes(const TurboIpRows& encoded) const {
  const size_t n = encoded.norms.size();
  if (encoded.gammas.size() != n) {
    return size_error("gammas", encoded.gammas.size(), std::to_string(n));
  }
  if (encoded.codes.size() != n * code_bytes()) {
    return size_error("codes", encoded.codes.size(), std::to_string(n * code_bytes()));
  }
  return {};
}

void TurboIp::unpack(const TurboIpRows& encoded,
                     size_t row,
                     std::span<uint8_t> codes,
                     std::span<uint8_t> signs) const {
  const auto bytes = std::span(encoded.codes).subspan(row * code_bytes(), code_bytes());
  if (options_.bits > 1) unpack_codes(bytes.first(mse_bytes()), options_.bits - 1, codes);
  unpack_codes(bytes.subspan(mse_bytes()), 1, signs);
}

Result<TurboIpRows> TurboIp::encode(std::span<const float> rows) const {
  const auto dim = static_cast<size_t>(options_.dim);
  if (rows.size() % dim != 0) {
    return size_error("rows", rows.size(), "a multiple of " + std::to_string(dim));
  }
  const size_t n = rows.size() / dim;
  TurboIpRows encoded;
  encoded.codes.resize(n * code_bytes());
  encoded.norms.resize(n);
  encoded.gammas.resize(n);
  std::vector<float> unit(dim);
  std::vector<float> projected(dim);
  std::vector<uint8_t> codes(dim);
  std::vector<uint8_t> signs(dim);
  for (size_t i = 0; i < n; ++i) {
    const std::span<const float> row = rows.subspan(i * dim, dim);
    TQ_ASSIGN(const double norm, finite_norm(row));
    normalise(row, norm, unit);
    rotation_.apply(unit);
    double residual2 = 0.0;
    for (size_t j = 0; j < dim; ++j) {
      codes[j] = nearest_code(boundaries_, unit[j]);
      unit[j] -= levels_[codes[j]];
      residual2 += static_cast<double>(unit[j]) * unit[j];
    }
    multiply_transposed(projection_transposed_, unit, projected);
    for (size_t j = 0; j < dim; ++j) signs[j] = projected[j] >= 0.0f ? 1 : 0;
    encoded.norms[i] = saturate(norm);
    encoded.gammas[i] = norm > 0.0 ? static_cast<float>(std::sqrt(residual2)) : 0.0f;
    const auto bytes = std::span(encoded.codes).subspan(i * code_bytes(), code_bytes());
    if (options_.bits > 1) pack_codes(codes, options_.bits - 1, bytes.first(mse_bytes()));
    pack_codes(signs, 1, bytes.subspan(mse_bytes()));
  }
  return encoded;
}

Result<void> TurboIp::decode(const TurboIpRows& encoded, std::span<float> rows) const {
  const auto dim = static_cast<size_t>(options_.dim);
  TQ_TRY(check_sizes(encoded));
  const size_t n = encoded.norms.size();
  if (rows.size() != n * dim) return size_error("rows", rows.size(), std::to_string(n * dim));
  std::vector<uint8_t> codes(dim, 0);
  std::vector<uint8_t> signs(dim);
  std::vector<float> residual(dim);
  for (size_t i = 0; i < n; ++i) {
    const std::span<float> row = rows.subspan(i * dim, dim);
    unpack(encoded, i, codes, signs);
    for (size_t j = 0; j < dim; ++j) residual[j] = signs[j] != 0 ? 1.0f : -1.0f;
    multiply_transposed(projection_, residual, residual);
    const float factor = qjl_factor() * encoded.gammas[i];
    for (size_t j = 0; j < dim; ++j) row[j] = levels_[codes[j]] + factor * residual[j];
    rotation_.apply_inverse(row);
    for (float& value : row) value = saturate(static_cast<double>(value) * encoded.norms[i]);
  }
  return {};
}

Result<void> TurboIp::score(std::span<const float> q,
                            const TurboIpRows& encoded,
                            std::span<float> scores) const {
  const auto dim = static_cast<size_t>(options_.dim);
  TQ_TRY(check_sizes(encoded));
  const size_t n = encoded.norms.size();
  if (q.size() != dim) return size_error("q", q.size(), std::to_string(dim));
  if (scores.size() != n) return size_error("scores", scores.size(), std::to_string(n));
  TQ_ASSIGN(const double q_norm, finite_norm(q));
  std::vector<float> unit_q(dim);
  normalise(q, q_norm, unit_q);
  rotation_.apply(unit_q);
  std::vector<float> projected_q(dim);
  multiply_transposed(projection_transposed_, unit_q, projected_q);
  std::vector<uint8_t> codes(dim, 0);
  std::vector<uint8_t> signs(dim);
  for (size_t i = 0; i < n; ++i) {
    unpack(encoded, i, codes, signs);
    double coded = 0.0;
    double residual = 0.0;
    for (size_t j = 0; j < dim; ++j) {
      coded += static_cast<double>(unit_q[j]) * levels_[codes[j]];
      residual += signs[j] != 0 ? projected_q[j] : -projected_q[j];
    }
    const double unit_score = coded + qjl_factor() * encoded.gammas[i] * residual;
    scores[i] = saturate(unit_score * q_norm * encoded.norms[i]);
  }
  return {};
}

}  // namespace tq::quant
