#include "bench/quant_bench.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "bench/machine.h"
#include "bench/quant_accuracy.h"
#include "bench/results.h"
#include "quant/random.h"
#include "quant/rotation.h"
#include "quant/row_codec.h"
#include "quant/turbo_ip.h"
#include "quant/turbo_mse.h"

namespace tq::bench {
namespace {

using nlohmann::json;

struct Options {
  std::vector<int> dims{64, 128};
  int bits_max = 4;
  int n_pairs = 4000;
  int n_rows = 2000;  // of the speed table
  int n_runs = 11;
  uint64_t seed = 1;
  bool spikes = true;
  std::string json_path;
};

struct SpeedRow {
  const char* what = "";
  int dim = 0;
  int bits = 0;
  double encode_per_s = 0.0;  // medians
  double decode_per_s = 0.0;
  double score_per_s = 0.0;
  double row_bytes = 0.0;
};

// One thing to time: runs over n_rows vectors at a time.
struct Timed {
  SpeedRow* row;
  double SpeedRow::*field;
  std::function<void()> run;
  std::vector<double> seconds;
};

// Runs interleaved, so that a slow spell of the machine falls on all of them; the first round warms
// up.
void time_all(std::vector<Timed>& timed, const Options& options) {
  for (int round = 0; round <= options.n_runs; ++round) {
    for (Timed& item : timed) {
      const auto start = std::chrono::steady_clock::now();
      item.run();
      const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
      if (round > 0) item.seconds.push_back(took.count());
    }
  }
  for (Timed& item : timed) item.row->*item.field = options.n_rows / quantile(item.seconds, 0.5);
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

Result<std::vector<SpeedRow>> measure_speed(const Options& options, int dim, int bits) {
  const size_t n_values = static_cast<size_t>(options.n_rows) * static_cast<size_t>(dim);
  quant::Rng rng(options.seed, quant::RngStream::kData);
  std::vector<float> rows(n_values);
  for (float& value : rows) value = static_cast<float>(rng.gaussian());

  TQ_ASSIGN(auto mse_quantiser,
            quant::TurboMse::create({.dim = dim, .bits = bits, .seed = options.seed}));
  TQ_ASSIGN(auto ip_quantiser,
            quant::TurboIp::create({.dim = dim, .bits = bits, .seed = options.seed}));
  TQ_ASSIGN(auto codec, quant::RowCodec::create(dim, bits, ScaleRule::kUnbiased));
  TQ_ASSIGN(auto rotation, quant::Rotation::create({.dim = dim, .seed = options.seed}));
  auto mse = prepare<quant::TurboMse, quant::TurboMseRows>(std::move(mse_quantiser), "TurboMse",
                                                           rows, options.n_rows);
  auto ip = prepare<quant::TurboIp, quant::TurboIpRows>(std::move(ip_quantiser), "TurboIp", rows,
                                                        options.n_rows);
  CodecSpeed kv{
      std::move(codec),
      std::move(rotation),
      {.what = "KV row codec", .dim = dim, .bits = bits, .row_bytes = dim * bits / 8.0 + 2},
      rows,
      std::vector<uint8_t>(n_values),
      std::vector<uint16_t>(static_cast<size_t>(options.n_rows))};
  std::vector<Timed> timed;
  add_timed(timed, mse, rows);
  add_timed(timed, ip, rows);
  add_timed(timed, kv, rows);
  time_all(timed, options);
  return std::vector<SpeedRow>{mse.row, kv.row, ip.row};
}

std::string number(double value, const char* format) {
  if (value == 0.0) return "–";
  char text[64];
  std::snprintf(text, sizeof text, format, value);
  return text;
}

std::string with_interval(const Estimate& estimate) {
  return number(estimate.mean, "%.5f") + " ± " + number(estimate.half_width, "%.5f");
}

void print_accuracy(const std::vector<AccuracyRow>& rows) {
  std::puts(
      "\n| quantiser | d | b | bits/value | rel. MSE (95 %) | theory | Theorem 1 | slope of "
      "<q,x~> on <q,x> | theory | d·E e² | theory |\n"
      "|---|---|---|---|---|---|---|---|---|---|---|");
  for (const AccuracyRow& row : rows) {
    std::printf(
        "| %s | %d | %d | %.4f | %s | %s | %s | %s | %s | %s | %s |\n", row.quantiser.c_str(),
        row.dim, row.bits, row.bits_per_value, with_interval(row.mse).c_str(),
        number(row.mse_theory, "%.5f").c_str(), number(row.mse_bound, "%.5f").c_str(),
        with_interval(row.slope).c_str(), number(row.slope_theory, "%.5f").c_str(),
        number(row.error_variance, "%.5f").c_str(), number(row.error_theory, "%.5f").c_str());
  }
}

void print_spikes(const std::vector<SpikeRow>& rows) {
  std::puts(
      "\nRelative MSE of vectors with a few equal spikes, by Hadamard rounds:\n\n"
      "| d | b | spikes | one round | two rounds | theory |\n|---|---|---|---|---|---|");
  for (const SpikeRow& row : rows) {
    std::printf("| %d | %d | %d | %s | %s | %.5f |\n", row.dim, row.bits, row.n_spikes,
                with_interval(row.one_round).c_str(), with_interval(row.two_rounds).c_str(),
                row.theory);
  }
}

void print_speed(const std::vector<SpeedRow>& rows) {
  std::puts(
      "\nOne thread, rotation included; bytes against 2·d of bf16:\n\n"
      "| quantiser | d | b | encode, 1000/s | decode, 1000/s | score, 1000/s | bytes/row | of bf16 "
      "|\n"
      "|---|---|---|---|---|---|---|---|");
  for (const SpeedRow& row : rows) {
    std::printf("| %s | %d | %d | %s | %s | %s | %.0f | %.3f |\n", row.what, row.dim, row.bits,
                number(row.encode_per_s / 1e3, "%.0f").c_str(),
                number(row.decode_per_s / 1e3, "%.0f").c_str(),
                number(row.score_per_s / 1e3, "%.0f").c_str(), row.row_bytes,
                row.row_bytes / (2.0 * row.dim));
  }
}

json to_json(const Estimate& estimate) {
  return {{"mean", estimate.mean}, {"half_width_95", estimate.half_width}};
}

struct Tables {
  std::vector<AccuracyRow> accuracy;
  std::vector<SpikeRow> spikes;
  std::vector<SpeedRow> speed;
};

json to_json(const Tables& tables, const Options& options) {
  json out{{"benchmark", "quant"},
           {"n_pairs", options.n_pairs},
           {"n_rows", options.n_rows},
           {"n_runs", options.n_runs}};
  for (const AccuracyRow& row : tables.accuracy) {
    out["accuracy"].push_back({{"quantiser", row.quantiser},
                               {"dim", row.dim},
                               {"bits", row.bits},
                               {"bits_per_value", row.bits_per_value},
                               {"mse", to_json(row.mse)},
                               {"mse_theory", row.mse_theory},
                               {"mse_bound", row.mse_bound},
                               {"slope", to_json(row.slope)},
                               {"error_variance_times_dim", row.error_variance},
                               {"error_theory_times_dim", row.error_theory}});
  }
  for (const SpikeRow& row : tables.spikes) {
    out["spikes"].push_back({{"dim", row.dim},
                             {"bits", row.bits},
                             {"n_spikes", row.n_spikes},
                             {"one_round", to_json(row.one_round)},
                             {"two_rounds", to_json(row.two_rounds)},
                             {"theory", row.theory}});
  }
  for (const SpeedRow& row : tables.speed) {
    out["speed"].push_back({{"quantiser", row.what},
                            {"dim", row.dim},
                            {"bits", row.bits},
                            {"encode_per_s", row.encode_per_s},
                            {"decode_per_s", row.decode_per_s},
                            {"score_per_s", row.score_per_s},
                            {"row_bytes", row.row_bytes}});
  }
  return out;
}

Result<Tables> measure_all(const Options& options) {
  Tables tables;
  for (const int dim : options.dims) {
    for (int bits = 1; bits <= options.bits_max; ++bits) {
      const AccuracyOptions accuracy{
          .dim = dim, .bits = bits, .n_pairs = options.n_pairs, .seed = options.seed};
      TQ_ASSIGN(const std::vector<AccuracyRow> rows, measure_accuracy(accuracy));
      tables.accuracy.insert(tables.accuracy.end(), rows.begin(), rows.end());
      // The Walsh-Hadamard transform exists for powers of two only.
      if (options.spikes && bits > 1 && (dim & (dim - 1)) == 0) {
        TQ_ASSIGN(const std::vector<SpikeRow> spikes, measure_spikes(accuracy));
        tables.spikes.insert(tables.spikes.end(), spikes.begin(), spikes.end());
      }
      TQ_ASSIGN(const std::vector<SpeedRow> speed, measure_speed(options, dim, bits));
      tables.speed.insert(tables.speed.end(), speed.begin(), speed.end());
    }
  }
  return tables;
}

}  // namespace

int run_quant(int argc, char** argv) {
  Options options;
  CLI::App app("Distortion, inner products and speed of the quantisers", "turboquant-bench quant");
  app.add_option("--dim", options.dims, "dimensions of the vectors")
      ->check(CLI::Range(2, 4096))
      ->capture_default_str();
  app.add_option("--bits-max", options.bits_max, "measure 1 to this many bits")
      ->check(CLI::Range(1, 8))
      ->capture_default_str();
  app.add_option("--pairs", options.n_pairs, "vectors of the accuracy table")
      ->check(CLI::Range(2, 1'000'000))
      ->capture_default_str();
  app.add_option("--rows", options.n_rows, "vectors of one timed run")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  app.add_option("--runs", options.n_runs, "timed runs; the median counts")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  app.add_option("--seed", options.seed, "of the vectors and the rotations")->capture_default_str();
  app.add_flag("!--no-spikes", options.spikes, "skip the table of spiky vectors");
  app.add_option("--json", options.json_path, "also write everything to this file");
  CLI11_PARSE(app, argc, argv);

  const Result<Tables> tables = measure_all(options);
  if (!tables) return fail(tables.error());
  std::printf("%s; seed: %llu\n", provenance().c_str(),
              static_cast<unsigned long long>(options.seed));
  print_accuracy(tables->accuracy);
  if (!tables->spikes.empty()) print_spikes(tables->spikes);
  print_speed(tables->speed);
  const auto written = write_json(options.json_path, to_json(*tables, options), options.seed);
  return written ? 0 : fail(written.error());
}

}  // namespace tq::bench
