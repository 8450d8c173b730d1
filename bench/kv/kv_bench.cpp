#include "bench/kv/kv_bench.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "bench/kv/kv_measurement.h"
#include "bench/machine.h"
#include "bench/quality/subject_flags.h"
#include "bench/results.h"

namespace tq::bench {
namespace {

struct Options {
  SubjectOptions subject;
  KvSpeedOptions speed;
  bool is_quick = false;
  std::string json_path;
  std::string svg_path;
};

void add_flags(CLI::App& app, Options& options) {
  add_subject_flags(app, options.subject);
  app.add_option("--kv", options.speed.kv,
                 "formats, a list: " + kv_format_names() + "; ratios are to bf16, if it is there")
      ->delimiter(',')
      ->capture_default_str();
  app.add_option("--context", options.speed.contexts,
                 "tokens of the prompt, a list (default: 512,2048,8192, clipped to what the model "
                 "takes)")
      ->delimiter(',')
      ->check(CLI::Range(0, 1 << 20));
  app.add_option("--output", options.speed.output, "tokens decoded after the prompt")
      ->check(CLI::Range(1, 1 << 16))
      ->capture_default_str();
  app.add_option("--repeats", options.speed.n_rounds, "rounds of all formats; medians count")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  app.add_flag("--quick", options.is_quick, "context 512, 16 tokens, one round, unless given");
  app.add_option("--seed", options.speed.config.seed, "of tokens and rotations")
      ->capture_default_str();
  app.add_option("--json", options.json_path, "also write the figures to this file");
  app.add_option("--svg", options.svg_path, "also plot decode speed by context");
}

// What --quick stands for; a flag that is given wins.
void make_quick(const CLI::App& app, KvSpeedOptions& speed) {
  if (app.count("--context") == 0) speed.contexts = {512};
  if (app.count("--output") == 0) speed.output = 16;
  if (app.count("--repeats") == 0) speed.n_rounds = 1;
}

nlohmann::json settings_of(const Options& options) {
  const KvConfig& kv = options.speed.config;
  return {{"benchmark", "kv"},
          {"model", options.subject.model_path},
          {"threads", options.subject.n_threads},
          {"output_tokens", options.speed.output},
          {"rounds", options.speed.n_rounds},
          {"sink_tokens", kv.sink_tokens},
          {"window_tokens", kv.window_tokens}};
}

Result<void> run(const Options& options) {
  TQ_TRY(parse_formats(options.speed.kv));  // before the model is loaded
  TQ_ASSIGN(const auto subject, Subject::load(options.subject));
  const KvSpeedOptions& speed = options.speed;
  std::printf(
      "%s; seed: %llu\n%s; threads %d, %lld tokens decoded, %d rounds; sink %d, window %d\n",
      provenance().c_str(), static_cast<unsigned long long>(speed.config.seed),
      options.subject.model_path.c_str(), options.subject.n_threads,
      static_cast<long long>(speed.output), speed.n_rounds, speed.config.sink_tokens,
      speed.config.window_tokens);
  TQ_ASSIGN(const auto rows, measure_kv(speed, *subject));
  std::fputs(to_markdown(rows).c_str(), stdout);
  if (!options.svg_path.empty()) TQ_TRY(write_file(options.svg_path, to_svg(rows), "--svg"));
  nlohmann::json document = settings_of(options);
  document["results"] = to_json(rows);
  return write_json(options.json_path, std::move(document), speed.config.seed);
}

}  // namespace

int run_kv(int argc, char** argv) {
  Options options;
  CLI::App app("What each KV format gives on a real model, by context: speed and memory",
               "turboquant-bench kv");
  add_flags(app, options);
  CLI11_PARSE(app, argc, argv);
  if (options.is_quick) make_quick(app, options.speed);
  const auto done = run(options);
  return done ? 0 : fail(done.error());
}

}  // namespace tq::bench
