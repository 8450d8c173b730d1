#include "bench/quant_speed.h"

#include <chrono>
#include <functional>
#include <span>
#include <utility>

#include "bench/results.h"
#include "config/check.h"
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

// The KV store's reference coder: rotation and coding of a row, codes one per byte.
struct CodecSpeed {
  quant::RowCodec codec;
  quant::Rotation rotation;
  SpeedRow row;
  std::vector<float> work;
  std::vector<uint8_t> codes;
  std::vector<uint16_t> scales;
};

void add_timed(std::vector<Timed>& timed, CodecSpeed& speed, const std::vector<float>& rows) {
  const auto dim = static_cast<size_t>(speed.row.dim);
  timed.push_back({&speed.row,
                   &SpeedRow::encode_per_s,
                   [&speed, &rows, dim] {
                     speed.work = rows;
                     speed.rotation.apply(speed.work);
                     for (size_t i = 0; i < speed.scales.size(); ++i) {
                       speed.scales[i] = speed.codec
                                             .encode(std::span(speed.work).subspan(i * dim, dim),
                                                     std::span(speed.codes).subspan(i * dim, dim))
                                             .value();
                     }
                   },
                   {}});
  timed.push_back({&speed.row,
                   &SpeedRow::decode_per_s,
                   [&speed, dim] {
                     for (size_t i = 0; i < speed.scales.size(); ++i) {
                       speed.codec.decode(std::span(speed.codes).subspan(i * dim, dim),
                                          speed.scales[i],
                                          std::span(speed.work).subspan(i * dim, dim));
                     }
                     speed.rotation.apply_inverse(speed.work);
                   },
                   {}});
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
  TQ_ASSIGN(auto codec, quant::RowCodec::create(dim, bits, ScaleRule::kUnbiased));
  TQ_ASSIGN(auto rotation, quant::Rotation::create({.dim = dim, .seed = options.seed}));
  auto mse = prepare<quant::TurboMse, quant::TurboMseRows>(std::move(mse_quantiser), "TurboMse",
                                                           rows, n_rows);
  auto ip =
      prepare<quant::TurboIp, quant::TurboIpRows>(std::move(ip_quantiser), "TurboIp", rows, n_rows);
  CodecSpeed kv{
      codec,
      std::move(rotation),
      {.what = "KV row codec", .dim = dim, .bits = bits, .row_bytes = dim * bits / 8.0 + 2},
      rows,
      std::vector<uint8_t>(rows.size()),
      std::vector<uint16_t>(static_cast<size_t>(n_rows))};
  std::vector<Timed> timed;
  add_timed(timed, mse, rows);
  add_timed(timed, ip, rows);
  add_timed(timed, kv, rows);
  time_all(timed, options, n_rows);
  return std::vector<SpeedRow>{mse.row, kv.row, ip.row};
}

}  // namespace tq::bench
