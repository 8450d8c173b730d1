#include "bench/quant_speed.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <functional>
#include <span>
#include <utility>

#include "bench/quant_accuracy.h"
#include "bench/results.h"
#include "config/check.h"
#include "quant/block_layout.h"
#include "quant/rotation.h"
#include "quant/row_codec.h"
#include "quant/turbo_ip.h"
#include "quant/turbo_mse.h"

namespace tq::bench {
namespace {

// One thing to time: runs over n_rows vectors at a time.
struct Timed {
  SpeedRow* row;
  double SpeedRow::*field;
  std::function<void()> run;
  std::vector<double> seconds;
};

// Runs interleaved, so that a slow spell of the machine falls on all of them; the first round warms
// up.
void time_all(std::vector<Timed>& timed, const SpeedOptions& options, double n_rows) {
  for (int round = 0; round <= options.n_runs; ++round) {
    for (Timed& item : timed) {
      const auto start = std::chrono::steady_clock::now();
      item.run();
      const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
      if (round > 0) item.seconds.push_back(took.count());
    }
  }
  for (Timed& item : timed) item.row->*item.field = n_rows / quantile(item.seconds, 0.5);
}

template <class Quantiser, class Rows>
struct QuantiserSpeed {
  Quantiser quantiser;
  Rows encoded;
  SpeedRow row;
  std::vector<float> decoded;
  std::vector<float> scores;
};

template <class Quantiser, class Rows>
QuantiserSpeed<Quantiser, Rows> prepare(Quantiser quantiser,
                                        const char* what,
                                        const std::vector<float>& rows,
                                        int n_rows) {
  const auto& options = quantiser.options();
  SpeedRow row{.what = what,
               .dim = options.dim,
               .bits = options.bits,
               .row_bytes = static_cast<double>(quantiser.row_bytes())};
  Rows encoded = quantiser.encode(rows).value();
  return {std::move(quantiser), std::move(encoded), row, std::vector<float>(rows.size()),
          std::vector<float>(static_cast<size_t>(n_rows))};
}

// `speed` must outlive `timed`.
template <class Speed>
void add_timed(std::vector<Timed>& timed, Speed& speed, const std::vector<float>& rows) {
  const std::span<const float> q = std::span(rows).first(static_cast<size_t>(speed.row.dim));
  timed.push_back({&speed.row,
                   &SpeedRow::encode_per_s,
                   [&speed, &rows] { speed.encoded = speed.quantiser.encode(rows).value(); },
                   {}});
  timed.push_back(
      {&speed.row,
       &SpeedRow::decode_per_s,
       [&speed] { TQ_CHECK(speed.quantiser.decode(speed.encoded, speed.decoded).ok(), "decode"); },
       {}});
  timed.push_back({&speed.row,
                   &SpeedRow::score_per_s,
                   [&speed, q] {
                     TQ_CHECK(speed.quantiser.score(q, speed.encoded, speed.scores).ok(), "score");
                   },
                   {}});
}

// The KV store's reference coder: rotation and coding of rows in tiles, codes one per byte.
struct StoreSpeed {
  quant::RowCodec codec;
  quant::Rotation rotation;
  SpeedRow row;
  std::vector<float> work;         // [n, dim]
  std::vector<uint8_t> codes;      // [n, dim]
  std::vector<uint8_t> scales;     // [n, n_groups]
  std::vector<uint8_t> exponents;  // [n / kTileTokens, rounded up]

  size_t dim() const { return static_cast<size_t>(codec.shape().dim); }
  size_t n_groups() const { return static_cast<size_t>(codec.shape().n_groups()); }

  // visit(exponent of its tile, its values, its codes, its scales)
  template <class Visit>
  void for_each_row(Visit visit) {
    for (size_t i = 0; i < work.size() / dim(); ++i) {
      visit(exponents[i / quant::kTileTokens], std::span(work).subspan(i * dim(), dim()),
            std::span(codes).subspan(i * dim(), dim()),
            std::span(scales).subspan(i * n_groups(), n_groups()));
    }
  }

  void encode(const std::vector<float>& rows) {
    work = rows;
    rotation.apply(work);
    const size_t tile = quant::kTileTokens * dim();
    for (size_t i = 0; i < exponents.size(); ++i) {
      float largest = 0.0f;
      for (size_t j = i * tile; j < std::min((i + 1) * tile, work.size()); ++j) {
        largest = std::max(largest, std::abs(work[j]));
      }
      exponents[i] = quant::shared_exponent(largest);
    }
    for_each_row([&](uint8_t exponent, auto values, auto row_codes, auto row_scales) {
      TQ_CHECK(codec.encode(values, exponent, row_codes, row_scales).ok(), "encode");
    });
  }

  void decode() {
    for_each_row([&](uint8_t exponent, auto values, auto row_codes, auto row_scales) {
      codec.decode(row_codes, row_scales, exponent, values);
    });
    rotation.apply_inverse(work);
  }
};

Result<StoreSpeed> prepare_store(const SpeedOptions& options,
                                 const std::vector<float>& rows,
                                 bool is_key) {
  const int group = is_key ? quant::kKeyGroup : quant::kValueGroup;
  TQ_ASSIGN(auto codec,
            quant::RowCodec::create({.dim = options.dim, .bits = options.bits, .group = group}));
  TQ_ASSIGN(auto rotation, quant::Rotation::create({.dim = options.dim, .seed = options.seed}));
  const size_t n_rows = rows.size() / static_cast<size_t>(options.dim);
  const auto n_groups = static_cast<size_t>(codec.shape().n_groups());
  const SpeedRow row{.what = is_key ? "KV keys" : "KV values",
                     .dim = options.dim,
                     .bits = options.bits,
                     .row_bytes = codec.bits_per_value() * options.dim / 8.0};
  return StoreSpeed{
      .codec = codec,
      .rotation = std::move(rotation),
      .row = row,
      .work = {},
      .codes = std::vector<uint8_t>(rows.size()),
      .scales = std::vector<uint8_t>(n_rows * n_groups),
      .exponents = std::vector<uint8_t>((n_rows + quant::kTileTokens - 1) / quant::kTileTokens)};
}

void add_timed(std::vector<Timed>& timed, StoreSpeed& speed, const std::vector<float>& rows) {
  timed.push_back(
      {&speed.row, &SpeedRow::encode_per_s, [&speed, &rows] { speed.encode(rows); }, {}});
  timed.push_back({&speed.row, &SpeedRow::decode_per_s, [&speed] { speed.decode(); }, {}});
}

}  // namespace

Result<std::vector<SpeedRow>> measure_speed(const SpeedOptions& options,
                                            const std::vector<float>& rows) {
  const int dim = options.dim;
  const int bits = options.bits;
  const int n_rows = static_cast<int>(rows.size() / static_cast<size_t>(dim));
  TQ_ASSIGN(auto mse_quantiser,
            quant::TurboMse::create({.dim = dim, .bits = bits, .seed = options.seed}));
  TQ_ASSIGN(auto ip_quantiser,
            quant::TurboIp::create({.dim = dim, .bits = bits, .seed = options.seed}));
  auto mse = prepare<quant::TurboMse, quant::TurboMseRows>(std::move(mse_quantiser), "TurboMse",
                                                           rows, n_rows);
  auto ip =
      prepare<quant::TurboIp, quant::TurboIpRows>(std::move(ip_quantiser), "TurboIp", rows, n_rows);
  std::vector<StoreSpeed> store;
  if (store_takes(dim, bits)) {
    for (const bool is_key : {true, false}) {
      TQ_ASSIGN(StoreSpeed half, prepare_store(options, rows, is_key));
      store.push_back(std::move(half));
    }
  }
  std::vector<Timed> timed;
  add_timed(timed, mse, rows);
  add_timed(timed, ip, rows);
  for (StoreSpeed& half : store) add_timed(timed, half, rows);
  time_all(timed, options, n_rows);
  std::vector<SpeedRow> result{mse.row};
  for (const StoreSpeed& half : store) result.push_back(half.row);
  result.push_back(ip.row);
  return result;
}

}  // namespace tq::bench
