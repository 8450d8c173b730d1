#include "bench/quant_bench.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "bench/machine.h"
#include "bench/quant_accuracy.h"
#include "bench/quant_report.h"
#include "bench/quant_speed.h"
#include "bench/results.h"
#include "bench/vectors_file.h"
#include "quant/random.h"

namespace tq::bench {
namespace {

struct Options {
  std::vector<int> dims;  // empty: those of the paper's table, or of the file
  int bits_min = 1;
  int bits_max = 4;
  int n_pairs = 4000;
  int n_rows = 2000;  // of the speed table
  int n_runs = 11;
  uint64_t seed = 1;
  bool accuracy = true;
  bool spikes = true;
  bool speed = true;
  std::string vectors_path;  // empty: random ones
  std::string queries_path;
  std::string json_path;
  std::string svg_folder;
};

std::vector<float> gaussian_rows(const Options& options, int dim) {
  quant::Rng rng(options.seed, quant::RngStream::kData);
  std::vector<float> rows(static_cast<size_t>(options.n_rows) * static_cast<size_t>(dim));
  for (float& value : rows) value = static_cast<float>(rng.gaussian());
  return rows;
}

// One dimension, every number of bits.
Result<void> measure(const Options& options,
                     const VectorSample& sample,
                     const std::vector<float>& speed_rows,
                     QuantTables& tables) {
  const auto append = [](auto& to, auto&& from) { to.insert(to.end(), from.begin(), from.end()); };
  for (int bits = options.bits_min; bits <= options.bits_max; ++bits) {
    const AccuracyOptions accuracy{.dim = sample.dim, .bits = bits, .seed = options.seed};
    if (options.accuracy) {
      TQ_ASSIGN(const std::vector<AccuracyRow> rows, measure_accuracy(accuracy, sample));
      append(tables.accuracy, rows);
    }
    // The Walsh-Hadamard transform exists for powers of two only.
    if (options.spikes && bits > 1 && (sample.dim & (sample.dim - 1)) == 0) {
      TQ_ASSIGN(const std::vector<SpikeRow> rows, measure_spikes(accuracy));
      append(tables.spikes, rows);
    }
    if (options.speed) {
      const SpeedOptions speed{
          .dim = sample.dim, .bits = bits, .n_runs = options.n_runs, .seed = options.seed};
      TQ_ASSIGN(const std::vector<SpeedRow> rows, measure_speed(speed, speed_rows));
      append(tables.speed, rows);
    }
  }
  return {};
}

Result<QuantTables> measure_file(const Options& options) {
  if (options.dims.size() > 1) {
    return Error{Code::kInvalidArgument, "a file of vectors has one dimension", "--dim"};
  }
  const int dim = options.dims.empty() ? 0 : options.dims.front();
  TQ_ASSIGN(Vectors vectors, read_vectors(options.vectors_path, dim));
  VectorSample sample = random_sample(vectors.n_rows(), vectors.dim, options.seed);
  if (!options.queries_path.empty()) {
    TQ_ASSIGN(Vectors queries, read_vectors(options.queries_path, vectors.dim));
    if (queries.values.size() != vectors.values.size()) {
      return Error{Code::kInvalidArgument, "there must be a query for each vector",
                   options.queries_path};
    }
    sample.q = std::move(queries.values);
  }
  sample.x = std::move(vectors.values);
  QuantTables tables;
  TQ_TRY(measure(options, sample, sample.x, tables));
  return tables;
}

Result<QuantTables> measure_all(const Options& options) {
  if (options.bits_min > options.bits_max) {
    return Error{Code::kInvalidArgument, "must not exceed --bits-max", "--bits-min"};
  }
  if (!options.vectors_path.empty()) return measure_file(options);
  if (!options.queries_path.empty()) {
    return Error{Code::kInvalidArgument, "queries from a file need --vectors", "--queries"};
  }
  QuantTables tables;
  for (const int dim : options.dims.empty() ? std::vector{64, 96, 128, 256} : options.dims) {
    TQ_TRY(measure(options, random_sample(options.n_pairs, dim, options.seed),
                   gaussian_rows(options, dim), tables));
  }
  return tables;
}

void add_options(CLI::App& app, Options& options) {
  app.add_option("--dim", options.dims, "dimensions of the vectors [64 96 128 256]")
      ->check(CLI::Range(2, 4096));
  app.add_option("--bits-min", options.bits_min, "measure from this many bits")
      ->check(CLI::Range(1, 8))
      ->capture_default_str();
  app.add_option("--bits-max", options.bits_max, "measure to this many bits")
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
  app.add_option("--vectors", options.vectors_path,
                 "measure these instead of random ones, timed as well: .npy of float32, or raw "
                 "float32 rows with --dim");
  app.add_option("--queries", options.queries_path, "a query for each of --vectors, same format");
  app.add_flag("!--no-accuracy", options.accuracy, "skip distortion and inner products");
  app.add_flag("!--no-spikes", options.spikes, "skip the table of spiky vectors");
  app.add_flag("!--no-speed", options.speed, "skip the speeds");
  app.add_option("--json", options.json_path, "also write everything to this file");
  app.add_option("--svg", options.svg_folder,
                 "also draw distortion.svg, inner_product.svg and bias.svg into this folder");
}

}  // namespace

int run_quant(int argc, char** argv) {
  Options options;
  CLI::App app("Distortion, inner products and speed of the quantisers", "turboquant-bench quant");
  add_options(app, options);
  CLI11_PARSE(app, argc, argv);

  const Result<QuantTables> tables = measure_all(options);
  if (!tables) return fail(tables.error());
  std::printf("%s; seed: %llu\n", provenance().c_str(),
              static_cast<unsigned long long>(options.seed));
  print_tables(*tables);
  if (!options.svg_folder.empty()) {
    const auto drawn = write_figures(*tables, options.svg_folder);
    if (!drawn) return fail(drawn.error());
  }
  nlohmann::json document = to_json(*tables);
  document["n_pairs"] = options.n_pairs;
  document["n_rows"] = options.n_rows;
  document["n_runs"] = options.n_runs;
  document["vectors"] = options.vectors_path;
  const auto written = write_json(options.json_path, std::move(document), options.seed);
  return written ? 0 : fail(written.error());
}

}  // namespace tq::bench
