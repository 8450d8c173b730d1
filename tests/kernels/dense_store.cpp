#include "tests/kernels/dense_store.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <limits>

#include "quant/block_layout.h"
#include "quant/float16.h"

namespace tq::kernels::test {
namespace {

constexpr double kFloatEps = 5.97e-8;  // half an ulp, relative

// Steps of a coefficient up to its largest, as kernels/README.md has them.
double coefficient_steps(std::string_view backend, const quant::RowCodec& codec) {
  const bool bytes = backend == "cuda" || ((backend.starts_with("avx512") || backend == "neon") &&
                                           codec.shape().bits < 8);
  return bytes ? 127.0 : 32767.0;
}

double norm(const float* row, size_t n) {
  double sum = 0.0;
  for (size_t j = 0; j < n; ++j) sum += static_cast<double>(row[j]) * row[j];
  return std::sqrt(sum);
}

}  // namespace

DenseStore::DenseStore(const WorldOptions& options) : options_(options) {
  const KvConfig& kv = options.attention.kv;
  const int dim = options.attention.shape.head_dim;
  if (!kv.formats.sealed_is_hot()) {
    rotation_ = quant::Rotation::create({.kind = kv.rotation, .dim = dim, .seed = kv.seed}).value();
  }
  const auto codec = [dim](KvFormat format, int group) {
    return quant::RowCodec::create({.dim = dim, .bits = quant::entry_bits(format), .group = group})
        .value();
  };
  if (kv.formats.k != KvFormat::kBf16) k_codec_ = codec(kv.formats.k, quant::kKeyGroup);
  if (kv.formats.v != KvFormat::kBf16) v_codec_ = codec(kv.formats.v, quant::kValueGroup);
}

std::vector<float> DenseStore::store_rows(Kind kind, int seq, int64_t position) const {
  const quant::KvShape shape = options_.attention.shape;
  std::vector<float> all;
  for (LayerIdx layer = 0; layer < shape.n_layers; ++layer) {
    std::vector<float> rows = make_rows({.seed = options_.seed,
                                         .data = options_.data,
                                         .kind = kind,
                                         .seq = seq,
                                         .position = position,
                                         .layer = layer},
                                        shape.n_kv_heads, shape.head_dim);
    if (rotation_) rotation_->apply(rows);
    for (float& value : rows) value = quant::bf16_to_float(quant::float_to_bf16(value));
    all.insert(all.end(), rows.begin(), rows.end());
  }
  return all;
}

void DenseStore::append(int seq, int n_rows) {
  std::vector<Token>& tokens = sequences_[seq];
  for (int row = 0; row < n_rows; ++row) {
    const auto position = static_cast<int64_t>(tokens.size());
    tokens.push_back({store_rows(Kind::kK, seq, position), store_rows(Kind::kV, seq, position)});
  }
}

void DenseStore::seal_tile(std::span<Token> tokens,
                           std::vector<float> Token::*half,
                           const quant::RowCodec& codec) const {
  const auto dim = static_cast<size_t>(codec.shape().dim);
  std::vector<uint8_t> codes(dim);
  std::vector<uint8_t> scales(static_cast<size_t>(codec.shape().n_groups()));
  const size_t n_values = (tokens.front().*half).size();
  for (size_t at = 0; at < n_values; at += dim) {
    float largest = 0.0f;
    for (Token& token : tokens) {
      for (const float value : std::span((token.*half)).subspan(at, dim)) {
        largest = std::max(largest, std::abs(value));
      }
    }
    const uint8_t exponent = quant::shared_exponent(largest);
    for (Token& token : tokens) {
      const std::span<float> row = std::span(token.*half).subspan(at, dim);
      REQUIRE(codec.encode(row, exponent, codes, scales).ok());
      codec.decode(codes, scales, exponent, row);
    }
  }
}

void DenseStore::seal(int seq, int block_index) {
  const int n = options_.attention.kv.block_tokens;
  const std::span<Token> block =
      std::span(sequences_.at(seq))
          .subspan(static_cast<size_t>(block_index * n), static_cast<size_t>(n));
  for (size_t first = 0; first < block.size(); first += quant::kTileTokens) {
    const std::span<Token> tile = block.subspan(first, quant::kTileTokens);
    if (k_codec_) seal_tile(tile, &Token::k, *k_codec_);
    if (v_codec_) seal_tile(tile, &Token::v, *v_codec_);
  }
}

std::vector<double> DenseStore::bias_scores(const std::vector<float>& q,
                                            size_t kv_row,
                                            int64_t position) const {
  std::vector<double> scores(static_cast<size_t>(position) + 1, 0.0);
  if (options_.key_bias == 0.0f) return scores;
  const auto n_kv_heads = static_cast<size_t>(options_.attention.shape.n_kv_heads);
  const std::vector<float> bias =
      make_key_bias(options_, static_cast<LayerIdx>(kv_row / n_kv_heads));
  const float* const b = bias.data() + kv_row % n_kv_heads * q.size();
  const RopePairs pairs = make_rope_pairs(options_);
  const size_t n = pairs.frequencies.size();
  for (size_t p = 0; p < scores.size(); ++p) {
    for (size_t j = 2 * n; j < q.size(); ++j) scores[p] += static_cast<double>(q[j]) * b[j];
    for (size_t i = 0; i < n; ++i) {
      const size_t x = pairs.interleaved ? 2 * i : i;
      const size_t y = pairs.interleaved ? 2 * i + 1 : i + n;
      const double angle = static_cast<double>(p) * pairs.frequencies[i];
      const double c = pairs.magnitude * std::cos(angle);
      const double s = pairs.magnitude * std::sin(angle);
      scores[p] += q[x] * (b[x] * c - b[y] * s) + q[y] * (b[y] * c + b[x] * s);
    }
  }
  return scores;
}

// How far a backend may be from exact, as a 2-norm of the output in the rotated domain (rotations
// keep it). Roundings are taken as independent and uniform; the bound is six standard deviations of
// their sum.
//
// Scores. The sealed path rounds q, unless it is whole, to steps of s = max|q|/n: d errors of
// variance s^2/12, weighted by k, give 6 s |k| / sqrt(12). The hot path sums d products in float: 6
// sqrt(d) eps |q| |k|. The largest of each, times the softmax scale, gives delta; weights then err
// by 2 delta relative to their sum (a weight's own error and the normaliser's), and by twice 4e-7
// for exp2 and for the rounding of its argument's size. Values. Sealed weights are rounded to steps
// of u = 1/n of a tile's largest weight x scale; the error of a tile's 32 rows is a vector of norm
// u |level| sqrt(32/12), twice that with margin (a norm of d >= 64 independent terms spreads by a
// few per cent); |level| x scale <= 1.1 |v|, times 2 where rows of unlike norm share a tile. The
// largest weights of the tiles add up to at most l. Sums of n products in float: (n / 8 + 64 + d)
// eps, the rotations' included.
// The CUDA kernels multiply bf16 rows in bf16: a weight errs by at most 2^-9 of itself, which gives
// |v| 2^-9, and q, the sum of two, by 2^-18 |q|. Their float sums of integers start from 1.5 * 2^23
// of a level's steps, which adds a step or two of error to the hundreds of a sum's roundings.
// A key bias. Its share of a score is a float sum of d products below |q| |b|, of turns rounded to
// float, added to a score: as the hot path's, with |b| for |k|.
double DenseStore::head_ratio(const std::vector<Token>& tokens,
                              int64_t position,
                              size_t kv_row,
                              std::vector<float> q,
                              const float* output) const {
  const size_t dim = q.size();
  const std::vector<double> biases = bias_scores(q, kv_row, position);
  if (rotation_) rotation_->apply(q);
  const double scale = 1.0f / std::sqrt(static_cast<float>(dim));
  std::vector<double> scores;
  double largest = -std::numeric_limits<double>::infinity();
  double k_norm = 0.0;
  double v_norm = 0.0;
  for (int64_t t = 0; t <= position; ++t) {
    const float* const k = tokens[static_cast<size_t>(t)].k.data() + kv_row * dim;
    double dot = 0.0;
    for (size_t j = 0; j < dim; ++j) dot += static_cast<double>(q[j]) * k[j];
    scores.push_back((dot + biases[static_cast<size_t>(t)]) * scale);
    largest = std::max(largest, scores.back());
    k_norm = std::max(k_norm, norm(k, dim));
    v_norm = std::max(v_norm, norm(tokens[static_cast<size_t>(t)].v.data() + kv_row * dim, dim));
  }
  std::vector<double> sum(dim, 0.0);
  double total = 0.0;
  for (int64_t t = 0; t <= position; ++t) {
    const double weight = std::exp(scores[static_cast<size_t>(t)] - largest);
    total += weight;
    const float* const v = tokens[static_cast<size_t>(t)].v.data() + kv_row * dim;
    for (size_t j = 0; j < dim; ++j) sum[j] += weight * v[j];
  }
  std::vector<float> want(dim);
  for (size_t j = 0; j < dim; ++j) want[j] = static_cast<float>(sum[j] / total);
  if (rotation_) rotation_->apply_inverse(want);

  double q_max = 0.0;
  for (const float value : q) q_max = std::max(q_max, std::abs(static_cast<double>(value)));
  const double d = static_cast<double>(dim);
  const double q_norm = norm(q.data(), dim);
  const double b_norm = 1.1 * std::sqrt(d) * options_.key_bias * 1.5;  // 1.5: heads differ
  double q_step = k_codec_ ? q_max / coefficient_steps(options_.backend, *k_codec_) : 0.0;
  if (options_.whole_queries && k_codec_ && coefficient_steps(options_.backend, *k_codec_) == 127) {
    q_step = 0.0;
  }
  const double weight_step = v_codec_ ? 1.0 / coefficient_steps(options_.backend, *v_codec_) : 0.0;
  const double delta = scale * 6.0 *
                       (k_norm * (q_step / std::sqrt(12.0) + std::sqrt(d) * kFloatEps * q_norm) +
                        b_norm * std::sqrt(d) * kFloatEps * q_norm);
  const double bf16_weight = options_.backend == "cuda" ? 0x1p-9 : 0.0;
  const double bf16_score = options_.backend == "cuda" ? scale * k_norm * q_norm * 0x1p-18 : 0.0;
  const double sums = (static_cast<double>(position) / 8.0 + 64.0 + d) * kFloatEps;
  const double weights = 2.0 * 2.0 * 1.1 * std::sqrt(32.0 / 12.0) * weight_step;
  const double tolerance =
      v_norm * (2.0 * (delta + bf16_score + 4e-7) + weights + bf16_weight + sums) + 1e-30;
  double error = 0.0;
  for (size_t j = 0; j < dim; ++j) error += std::pow(static_cast<double>(output[j]) - want[j], 2);
  const double ratio = std::sqrt(error) / tolerance;
  return std::isfinite(ratio) ? ratio : std::numeric_limits<double>::infinity();
}

double DenseStore::error_ratio(int seq, int64_t position, const std::vector<float>& output) const {
  const AttentionOptions& attention = options_.attention;
  const auto dim = static_cast<size_t>(attention.shape.head_dim);
  const int group = attention.n_heads / attention.shape.n_kv_heads;
  double worst = 0.0;
  size_t at = 0;
  for (LayerIdx layer = 0; layer < attention.shape.n_layers; ++layer) {
    const std::vector<float> q = make_queries(options_, seq, position, layer);
    for (int head = 0; head < attention.n_heads; ++head, at += dim) {
      const auto kv_row = static_cast<size_t>(layer * attention.shape.n_kv_heads + head / group);
      const auto start = q.begin() + static_cast<ptrdiff_t>(static_cast<size_t>(head) * dim);
      worst = std::max(
          worst, head_ratio(sequences_.at(seq), position, kv_row,
                            {start, start + static_cast<ptrdiff_t>(dim)}, output.data() + at));
    }
  }
  return worst;
}

}  // namespace tq::kernels::test
