// tq_cuda_bench: attention over the packed store on a device, against bf16 and against a plain
// copy; decode, one row per sequence. The choice of tokens, against a copy of their logits to the
// host. Times are the device's, of CUDA graphs.

#include <CLI/CLI.hpp>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "bench/cuda/device_case.h"
#include "bench/cuda/device_copy.h"
#include "bench/cuda/select_case.h"
#include "bench/machine.h"
#include "bench/results.h"
#include "kernels/cuda/device.h"

namespace tq::bench {
namespace {

using nlohmann::json;

struct Options {
  std::vector<std::string> formats{"tq8", "tq4", "tq3", "tq2"};
  std::vector<int> contexts{4096, 32768, 131072};
  std::vector<int> batches{1, 8};
  std::vector<int> groups{4, 8};
  std::vector<int> head_dims{64, 128};
  std::vector<int> vocabs{32000, 151936};
  std::vector<int> logit_rows{1, 32};
  int n_kv_heads = 8;
  int n_runs = 5;
  uint64_t seed = 1;
  std::string json_path;
};

struct Row {
  DeviceCaseOptions shape;
  int n_layers = 0;
  uint64_t bytes = 0;
  double us = 0, us_p95 = 0, gb_per_s = 0, times_bf16 = 0, of_copy = 0;
  double append_us = 0, seal_us = 0;
};

// GB/s read and written by the device's own copy.
Result<double> copy_speed() {
  TQ_ASSIGN(DeviceCopy copy, DeviceCopy::create(1ull << 30));
  TQ_ASSIGN(const double seconds, copy.seconds(10));
  return static_cast<double>(copy.moved_bytes()) / seconds / 1e9;
}

Result<Row> measure(const DeviceCaseOptions& shape, int n_runs) {
  TQ_ASSIGN(const auto one, DeviceCase::create(shape));
  std::vector<double> seconds;
  for (int run = 0; run < n_runs; ++run) {
    TQ_ASSIGN(const double s, one->attend_seconds(3));
    seconds.push_back(s);
  }
  Row row{.shape = shape, .n_layers = one->n_layers(), .bytes = one->layer_bytes()};
  row.us = quantile(seconds, 0.5) * 1e6;
  row.us_p95 = quantile(seconds, 0.95) * 1e6;
  row.gb_per_s = static_cast<double>(row.bytes) / row.us / 1e3;
  TQ_ASSIGN(const double append, one->append_seconds(3));
  row.append_us = append * 1e6;
  TQ_ASSIGN(const double seal, one->seal_seconds(3));
  row.seal_us = seal / row.n_layers * 1e6;
  return row;
}

json to_json(const Row& row) {
  const DeviceCaseOptions& shape = row.shape;
  return {{"format", to_string(shape.formats)},
          {"head_dim", shape.head_dim},
          {"n_kv_heads", shape.n_kv_heads},
          {"group", shape.group},
          {"batch", shape.n_seqs},
          {"context", shape.context},
          {"layers", row.n_layers},
          {"bytes", row.bytes},
          {"us", row.us},
          {"us_p95", row.us_p95},
          {"gb_per_s", row.gb_per_s},
          {"times_bf16", row.times_bf16},
          {"of_copy", row.of_copy},
          {"append_us", row.append_us},
          {"seal_us_per_layer", row.seal_us}};
}

void print(const Row& row) {
  const DeviceCaseOptions& shape = row.shape;
  std::printf(
      "| %d | %d | %d | %d | %s | %.1f | %.1f | %.1f | %.0f | %.2f | %.2f | %.1f | %.1f |\n",
      shape.head_dim, shape.group, shape.n_seqs, shape.context, to_string(shape.formats).c_str(),
      static_cast<double>(row.bytes) / 1e6, row.us, row.us_p95, row.gb_per_s, row.of_copy,
      row.times_bf16, row.append_us, row.seal_us);
  std::fflush(stdout);
}

// All formats of one shape, bf16 first.
Result<void> measure_shape(DeviceCaseOptions shape,
                           const std::vector<KvFormats>& formats,
                           const Options& options,
                           double copy_gb_per_s,
                           json& rows) {
  double bf16_us = 0.0;
  for (const KvFormats one : formats) {
    shape.formats = one;
    TQ_ASSIGN(Row row, measure(shape, options.n_runs));
    if (one.sealed_is_hot()) bf16_us = row.us;
    row.times_bf16 = bf16_us / row.us;
    row.of_copy = row.gb_per_s / copy_gb_per_s;
    print(row);
    rows.push_back(to_json(row));
  }
  return {};
}

Result<json> measure_all(const Options& options) {
  std::vector<KvFormats> formats{{KvFormat::kBf16, KvFormat::kBf16}};
  for (const std::string& text : options.formats) {
    TQ_ASSIGN(const KvFormats one, parse_kv_formats(text));
    if (!one.sealed_is_hot()) formats.push_back(one);
  }
  TQ_ASSIGN(const kernels::cuda::DeviceFacts facts, kernels::cuda::device_facts());
  TQ_ASSIGN(const double copied, copy_speed());
  std::printf("%s; seed: %llu\n%s, %d multiprocessors, L2 %d MiB, driver %d; copy: %.0f GB/s\n\n",
              provenance().c_str(), static_cast<unsigned long long>(options.seed),
              facts.name.c_str(), facts.n_processors, facts.l2_bytes >> 20, facts.driver, copied);
  std::puts(
      "One attend(), one row per sequence; MB: what it must read; us: median, p95; append: one row "
      "per sequence; seal: one block, per layer, waiting included.\n\n"
      "| d | GQA | batch | context | format | MB | us | p95 | GB/s | of copy | x bf16 | append us "
      "| "
      "seal us |\n|---|---|---|---|---|---|---|---|---|---|---|---|---|");
  json out{{"benchmark", "cuda_attention"},
           {"device", facts.name},
           {"multiprocessors", facts.n_processors},
           {"copy_gb_per_s", copied},
           {"runs", options.n_runs},
           {"attend", json::array()}};
  for (const int head_dim : options.head_dims) {
    for (const int group : options.groups) {
      for (const int n_seqs : options.batches) {
        for (const int context : options.contexts) {
          TQ_TRY(measure_shape({.head_dim = head_dim,
                                .n_kv_heads = options.n_kv_heads,
                                .group = group,
                                .n_seqs = n_seqs,
                                .context = context,
                                .read_bytes_min = 4ull * static_cast<uint64_t>(facts.l2_bytes),
                                .seed = options.seed},
                               formats, options, copied, out["attend"]));
        }
      }
    }
  }
  return out;
}

// The choice of tokens.
Result<json> measure_choices(const Options& options) {
  std::puts(
      "\nOne token for each row of logits; us: median, questions and answers included; copy: of "
      "all logits to the host.\n\n| vocabulary | rows | kind | us | p95 | copy us |\n"
      "|---|---|---|---|---|---|");
  json rows = json::array();
  for (const int vocab : options.vocabs) {
    for (const int n_rows : options.logit_rows) {
      for (const char* const kind : kSelectKinds) {
        TQ_ASSIGN(
            const SelectSeconds seconds,
            measure_select({.n_rows = n_rows, .vocab = vocab, .kind = kind, .seed = options.seed},
                           options.n_runs));
        const double us = quantile(seconds.select, 0.5) * 1e6;
        const double us_p95 = quantile(seconds.select, 0.95) * 1e6;
        const double copy_us = quantile(seconds.copy, 0.5) * 1e6;
        std::printf("| %d | %d | %s | %.1f | %.1f | %.1f |\n", vocab, n_rows, kind, us, us_p95,
                    copy_us);
        std::fflush(stdout);
        rows.push_back({{"vocab", vocab},
                        {"rows", n_rows},
                        {"kind", kind},
                        {"us", us},
                        {"us_p95", us_p95},
                        {"copy_us", copy_us}});
      }
    }
  }
  return rows;
}

void add_flags(CLI::App& app, Options& options) {
  const auto list = [&app](const char* name, std::vector<int>& values, int most, const char* what) {
    app.add_option(name, values, what)
        ->delimiter(',')
        ->check(CLI::Range(1, most))
        ->capture_default_str();
  };
  app.add_option("--formats", options.formats, "a list of F or K/V; bf16 is always measured")
      ->delimiter(',')
      ->capture_default_str();
  list("--context", options.contexts, 1 << 20, "cached tokens of each sequence, a list");
  list("--batch", options.batches, 1024, "sequences, a list");
  list("--gqa", options.groups, 16, "query heads per KV head, a list");
  list("--head-dim", options.head_dims, 256, "64, 96, 128 or 256, a list");
  list("--vocab", options.vocabs, 1 << 20, "tokens that logits are of, a list");
  list("--rows", options.logit_rows, 1024, "rows of logits, a list");
  app.add_option("--kv-heads", options.n_kv_heads, "KV heads of a layer")
      ->check(CLI::Range(1, 128))
      ->capture_default_str();
  app.add_option("--runs", options.n_runs, "timed runs; the median counts")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  app.add_option("--seed", options.seed, "of rows, codes and block tables")->capture_default_str();
  app.add_option("--json", options.json_path, "also write everything to this file");
}

int run(int argc, char** argv) {
  Options options;
  CLI::App app("Attention over packed codes on a CUDA device", "tq_cuda_bench");
  add_flags(app, options);
  CLI11_PARSE(app, argc, argv);
  if (const std::string missing = kernels::cuda::missing_device(); !missing.empty()) {
    return fail({Code::kUnsupported, missing, {}});
  }
  Result<json> figures = measure_all(options);
  if (!figures) return fail(figures.error());
  const Result<json> choices = measure_choices(options);
  if (!choices) return fail(choices.error());
  (*figures)["select"] = *choices;
  const auto written = write_json(options.json_path, *figures, options.seed);
  return written ? 0 : fail(written.error());
}

}  // namespace
}  // namespace tq::bench

int main(int argc, char** argv) { return tq::bench::run(argc, argv); }
