#include "bench/attention_bench.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "bench/attention_case.h"
#include "bench/cuda/device_bench.h"
#include "bench/machine.h"
#include "bench/plain_read.h"
#include "bench/results.h"

namespace tq::bench {
namespace {

using nlohmann::json;

struct Options {
  std::vector<int> contexts{512, 2048, 8192};
  std::vector<std::string> formats{"bf16", "tq4", "tq3", "tq2", "tq4/tq2"};
  std::string device = "cpu";
  std::string backend = "auto";
  int head_dim = 128;
  int group = 4;
  int n_kv_heads = 8;
  int n_rows = 1;
  int n_seqs = 1;
  int n_threads = 1;
  int n_runs = 11;
  uint64_t seed = 1;
  bool in_cache = true;
  bool scatter = false;
  std::string json_path;
};

struct Row {
  std::string format;
  std::string where;  // "memory" or "L2"
  int context = 0;
  uint64_t bytes = 0;  // read by one run
  double bytes_per_token = 0;
  double ns_per_token = 0;  // cached token, layer and KV head; medians
  double ns_p95 = 0;
  double gb_per_s = 0;
  double times_bf16 = 0;  // speed over bf16 of the same table
  double of_read = 0;     // share of the plain read speed, same threads
};

struct WriteRow {
  std::string format;
  double append_ns = 0;  // per token, layer and KV head, K and V
  double seal_ns = 0;
};

struct Tables {
  std::string backend;
  std::vector<Row> rows;
  std::vector<double> read_gb_per_s;  // of each table, in order
  std::vector<WriteRow> writes;
};

double seconds_of(const std::function<void()>& run) {
  const auto start = std::chrono::steady_clock::now();
  run();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

uint64_t cache_bytes(int name, uint64_t fallback) {
  const long size = sysconf(name);
  return size > 0 ? static_cast<uint64_t>(size) : fallback;
}

CaseOptions case_options(const Options& options, KvFormats formats, int context) {
  return {.backend = options.backend,
          .formats = formats,
          .head_dim = options.head_dim,
          .group = options.group,
          .n_kv_heads = options.n_kv_heads,
          .context = context,
          .n_rows = options.n_rows,
          .n_threads = options.n_threads,
          .scatter = options.scatter,
          .seed = options.seed};
}

// One context, all formats and the plain read, interleaved so that a slow spell of the machine
// falls on all.
Result<void> measure_table(const Options& options,
                           const std::vector<CaseOptions>& cases,
                           const std::string& where,
                           uint64_t read_bytes,
                           int repeats,
                           Tables& tables) {
  std::vector<std::unique_ptr<AttentionCase>> stores;
  for (const CaseOptions& one : cases) {
    TQ_ASSIGN(auto store, AttentionCase::create(one));
    stores.push_back(std::move(store));
  }
  PlainRead read(read_bytes, options.n_threads);
  std::vector<std::vector<double>> times(stores.size());
  std::vector<double> read_times;
  for (int run = 0; run <= options.n_runs; ++run) {
    for (size_t i = 0; i < stores.size(); ++i) {
      const double s = seconds_of([&] {
        for (int r = 0; r < repeats; ++r) stores[i]->attend();
      });
      if (run > 0) times[i].push_back(s / repeats);
    }
    const double s = seconds_of([&] { read.run(repeats); });
    if (run > 0) read_times.push_back(s / repeats);
  }
  const double read_speed = static_cast<double>(read.bytes()) / quantile(read_times, 0.5) / 1e9;
  tables.read_gb_per_s.push_back(read_speed);
  tables.backend = stores.front()->backend_name();
  double bf16_ns = 0.0;
  for (size_t i = 0; i < stores.size(); ++i) {
    const CaseOptions& one = stores[i]->options();
    const double tokens =
        static_cast<double>(one.n_layers) * one.n_kv_heads * one.context * one.n_rows;
    Row row{.format = to_string(one.formats), .where = where, .context = one.context};
    row.bytes = stores[i]->bytes_read();
    row.bytes_per_token = static_cast<double>(row.bytes) / (tokens / one.n_rows);
    row.ns_per_token = quantile(times[i], 0.5) / tokens * 1e9;
    row.ns_p95 = quantile(times[i], 0.95) / tokens * 1e9;
    row.gb_per_s = static_cast<double>(row.bytes) / quantile(times[i], 0.5) / 1e9;
    row.of_read = row.gb_per_s / read_speed;
    if (one.formats.sealed_is_hot()) bf16_ns = row.ns_per_token;
    row.times_bf16 = bf16_ns / row.ns_per_token;
    tables.rows.push_back(row);
  }
  return {};
}

Result<std::vector<KvFormats>> parse_formats(const Options& options) {
  std::vector<KvFormats> formats{
      {KvFormat::kBf16, KvFormat::kBf16}};  // first: the others' baseline
  for (const std::string& text : options.formats) {
    TQ_ASSIGN(const KvFormats one, parse_kv_formats(text));
    if (!one.sealed_is_hot()) formats.push_back(one);
  }
  return formats;
}

Result<void> measure_writes(const Options& options,
                            const std::vector<KvFormats>& formats,
                            Tables& tables) {
  constexpr int kRows = 64;
  for (const KvFormats one : formats) {
    CaseOptions options_of = case_options(options, one, 256);
    options_of.n_rows = kRows;
    options_of.n_layers = 16;
    TQ_ASSIGN(auto store, AttentionCase::create(options_of));
    std::vector<double> append_times, seal_times;
    for (int run = 0; run <= options.n_runs; ++run) {
      const double append_s = seconds_of([&] { store->append(); });
      const double seal_s = seconds_of([&] { store->seal(); });
      if (run == 0) continue;
      append_times.push_back(append_s);
      seal_times.push_back(seal_s);
    }
    const double heads = static_cast<double>(options_of.n_layers) * options_of.n_kv_heads;
    const int block_tokens = KvConfig{}.block_tokens;
    tables.writes.push_back({to_string(one), quantile(append_times, 0.5) / (heads * kRows) * 1e9,
                             quantile(seal_times, 0.5) / (heads * block_tokens) * 1e9});
  }
  return {};
}

Result<Tables> measure_all(const Options& options) {
  Tables tables;
  TQ_ASSIGN(const std::vector<KvFormats> formats, parse_formats(options));
  // Far more than a last-level cache keeps, but bounded: all formats are in memory at once.
  const uint64_t cold_bytes =
      std::min<uint64_t>(4 * cache_bytes(_SC_LEVEL3_CACHE_SIZE, 32ull << 20), 256ull << 20);
  for (const int context : options.contexts) {
    std::vector<CaseOptions> cases;
    for (const KvFormats one : formats) {
      cases.push_back(case_options(options, one, context));
      // Layers enough that a run reads more than the last-level cache holds.
      const uint64_t bytes = std::max<uint64_t>(1, layer_bytes(cases.back()));
      cases.back().n_layers =
          static_cast<int>(std::clamp<uint64_t>((cold_bytes + bytes - 1) / bytes, 1, 1024));
    }
    TQ_TRY(measure_table(options, cases, "memory", cold_bytes, 1, tables));
  }
  if (options.in_cache) {
    const uint64_t l2_bytes = cache_bytes(_SC_LEVEL2_CACHE_SIZE, 512ull << 10) / 2;
    const int context =
        static_cast<int>(l2_bytes / (4ull * static_cast<uint64_t>(options.head_dim)) / 32 * 32);
    std::vector<CaseOptions> cases;
    for (const KvFormats one : formats) {
      cases.push_back(case_options(options, one, std::max(context, options.n_rows + 32)));
      cases.back().n_kv_heads = 1;
    }
    TQ_TRY(measure_table(options, cases, "L2", l2_bytes, 200, tables));
  }
  TQ_TRY(measure_writes(options, formats, tables));
  return tables;
}

void print_tables(const Tables& tables, const Options& options) {
  std::printf("%s; seed: %llu\n", provenance().c_str(),
              static_cast<unsigned long long>(options.seed));
  std::printf(
      "backend: %s, threads: %d, head_dim: %d, query heads per KV head: %d, rows: %d, runs: %d%s\n",
      tables.backend.c_str(), options.n_threads, options.head_dim, options.group, options.n_rows,
      options.n_runs, options.scatter ? ", blocks in any order" : "");
  const KvConfig kv;
  std::printf(
      "\nOne attend(); a token is one cached token in one layer and KV head, K and V; medians.\n"
      "Sinks (%d) and window (%d to %d) are bf16 in every format. Read: a plain sum, same "
      "threads.\n\n",
      kv.sink_tokens, kv.window_tokens, kv.window_tokens + kv.seal_stride_tokens - 1);
  std::puts(
      "| KV in | context | format | bytes/token | ns/token | p95 | GB/s | of read | x bf16 |\n"
      "|---|---|---|---|---|---|---|---|---|");
  for (const Row& row : tables.rows) {
    std::printf("| %s | %d | %s | %.0f | %.2f | %.2f | %.1f | %.2f | %.2f |\n", row.where.c_str(),
                row.context, row.format.c_str(), row.bytes_per_token, row.ns_per_token, row.ns_p95,
                row.gb_per_s, row.of_read, row.times_bf16);
  }
  std::printf("\nPlain read, GB/s, table by table:");
  for (const double speed : tables.read_gb_per_s) std::printf(" %.1f", speed);
  std::puts(
      "\n\n| format | append, ns per token and head | seal, ns per token and head "
      "|\n|---|---|---|");
  for (const WriteRow& row : tables.writes) {
    std::printf("| %s | %.0f | %.0f |\n", row.format.c_str(), row.append_ns, row.seal_ns);
  }
}

json to_json(const Tables& tables, const Options& options) {
  json out{{"benchmark", "attention"},     {"backend", tables.backend},
           {"threads", options.n_threads}, {"head_dim", options.head_dim},
           {"group", options.group},       {"n_kv_heads", options.n_kv_heads},
           {"rows", options.n_rows},       {"runs", options.n_runs},
           {"scatter", options.scatter},   {"read_gb_per_s", tables.read_gb_per_s}};
  for (const Row& row : tables.rows) {
    out["attend"].push_back({{"format", row.format},
                             {"kv_in", row.where},
                             {"context", row.context},
                             {"bytes", row.bytes},
                             {"bytes_per_token", row.bytes_per_token},
                             {"ns_per_token", row.ns_per_token},
                             {"ns_per_token_p95", row.ns_p95},
                             {"gb_per_s", row.gb_per_s},
                             {"of_read", row.of_read},
                             {"times_bf16", row.times_bf16}});
  }
  for (const WriteRow& row : tables.writes) {
    out["write"].push_back(
        {{"format", row.format}, {"append_ns", row.append_ns}, {"seal_ns", row.seal_ns}});
  }
  return out;
}

void add_flags(CLI::App& app, Options& options) {
  app.add_option("--context", options.contexts, "cached tokens, a list")
      ->delimiter(',')
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  app.add_option("--formats", options.formats, "a list of F or K/V; bf16 is always measured")
      ->delimiter(',')
      ->capture_default_str();
  app.add_option("--device", options.device, "cpu, or cuda: decode on a device, beside LibTorch's")
      ->check(CLI::IsMember({"cpu", "cuda"}))
      ->capture_default_str();
  app.add_option("--backend", options.backend, "of the CPU: auto, scalar, avx2, avx512, neon")
      ->capture_default_str();
  app.add_option("--head-dim", options.head_dim, "64, 80, 96, 128 or 256")->capture_default_str();
  app.add_option("--gqa", options.group, "query heads per KV head")
      ->check(CLI::Range(1, 16))
      ->capture_default_str();
  app.add_option("--kv-heads", options.n_kv_heads, "KV heads of a layer")
      ->check(CLI::Range(1, 128))
      ->capture_default_str();
  app.add_option("--rows", options.n_rows, "rows of the step: 1 is a decode, more a prefill chunk")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  app.add_option("--batch", options.n_seqs, "sequences that are decoded together, on a device")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  app.add_option("--threads", options.n_threads, "threads of the CPU's backend")
      ->check(CLI::Range(1, 256))
      ->capture_default_str();
  app.add_option("--runs", options.n_runs, "timed runs; the median counts")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  app.add_option("--seed", options.seed, "of the rows, codes and block tables")
      ->capture_default_str();
  app.add_flag("--scatter", options.scatter,
               "blocks of the sequence in any order, not one after the other; of the CPU");
  app.add_flag("!--no-cache", options.in_cache, "skip the table within L2");
  app.add_option("--json", options.json_path, "also write everything to this file");
}

// Flags that contradict each other.
Result<void> check(const Options& options) {
  if (options.device == "cuda") {
    if (options.backend != "auto") {
      return Error{Code::kInvalidArgument, options.backend + " contradicts --device cuda",
                   "--backend"};
    }
    if (options.scatter) {
      return Error{Code::kInvalidArgument, "on a device, blocks always come in any order",
                   "--scatter"};
    }
    if (options.n_rows != 1) {
      return Error{Code::kInvalidArgument,
                   "on a device one row is measured for each sequence of --batch", "--rows"};
    }
  } else if (options.n_seqs != 1) {
    return Error{Code::kInvalidArgument, "more than one sequence is measured with --device cuda",
                 "--batch"};
  }
  for (const int context : options.contexts) {
    if (context < options.n_rows) {
      return Error{Code::kInvalidArgument,
                   std::to_string(context) + " is below --rows " + std::to_string(options.n_rows),
                   "--context"};
    }
  }
  return {};
}

Result<json> figures_of_device(const Options& options) {
  TQ_ASSIGN(std::vector<KvFormats> formats, parse_formats(options));
  return measure_on_device({.formats = std::move(formats),
                            .contexts = options.contexts,
                            .head_dim = options.head_dim,
                            .n_kv_heads = options.n_kv_heads,
                            .group = options.group,
                            .n_seqs = options.n_seqs,
                            .n_runs = options.n_runs,
                            .seed = options.seed});
}

Result<json> figures_of_cpu(const Options& options) {
  TQ_ASSIGN(const Tables tables, measure_all(options));
  print_tables(tables, options);
  return to_json(tables, options);
}

Result<void> measure(const Options& options) {
  TQ_TRY(check(options));
  TQ_ASSIGN(const json figures,
            options.device == "cuda" ? figures_of_device(options) : figures_of_cpu(options));
  return write_json(options.json_path, figures, options.seed);
}

}  // namespace

int run_attention(int argc, char** argv) {
  Options options;
  CLI::App app("Attention over packed codes, against bf16 and plain reads",
               "turboquant-bench attention");
  add_flags(app, options);
  CLI11_PARSE(app, argc, argv);
  const Result<void> done = measure(options);
  return done ? 0 : fail(done.error());
}

}  // namespace tq::bench
