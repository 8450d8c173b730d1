#include "bench/quality/quality_bench.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "bench/formats/kv_codec.h"
#include "bench/machine.h"
#include "bench/quality/measurement.h"
#include "bench/quality/quality_report.h"
#include "bench/quality/subject_flags.h"
#include "bench/quality/text_set.h"
#include "bench/results.h"

namespace tq::bench {
namespace {

struct Options {
  SubjectOptions subject;
  QualityOptions quality;
  std::vector<std::string> texts{".deps/texts"};
  std::string json_path;
  std::string svg_path;
};

std::string list_of_formats() {
  std::string text = "Formats of --kv; K/V for two, coded:F to simulate one of the server's own:\n";
  text += "  bf16, tq8, tq4, tq3, tq2: the server's, by its own kernels\n";
  for (const KvCodecEntry& entry : kv_codecs()) {
    text += "  " + std::string(entry.name) + ": " + std::string(entry.description) + "\n";
  }
  return text;
}

void add_flags(CLI::App& app, Options& options) {
  add_subject_flags(app, options.subject);
  app.add_option("--kv", options.quality.kv, "formats, a list")
      ->delimiter(',')
      ->capture_default_str();
  app.add_option("--context", options.quality.contexts,
                 "tokens of a window, a list; its second half is scored")
      ->delimiter(',')
      ->check(CLI::Range(64, 1 << 20))
      ->capture_default_str();
  app.add_option("--text", options.texts, "files or folders of *.txt, a list")
      ->delimiter(',')
      ->capture_default_str();
  app.add_option("--text-tokens", options.quality.text_tokens,
                 "of each text: as many windows as start within")
      ->check(CLI::Range(1, 1 << 24))
      ->capture_default_str();
  app.add_option_function<std::vector<std::string>>(
         "--peer",
         [&options](const std::vector<std::string>& given) {
           for (const std::string& one : given) {
             const size_t equals = one.find('=');
             if (equals == 0 || equals == std::string::npos) {
               throw CLI::ValidationError("--peer", "'" + one + "' is not NAME=FILE");
             }
             options.quality.peers.push_back({one.substr(0, equals), one.substr(equals + 1)});
           }
         },
         "NAME=FILE of llama-perplexity --save-all-logits, a list: its text and context are taken")
      ->delimiter(',');
  app.add_option("--peer-reference", options.quality.peer_reference,
                 "such a file of its 16-bit KV, to compare it with itself; else ours is taken");
  app.add_option("--needle", options.quality.needle_lengths,
                 "also ask for ten planted numbers in the first text, at these lengths")
      ->delimiter(',')
      ->check(CLI::Range(512, 1 << 20));
  app.add_option("--generate", options.quality.generated_tokens,
                 "also compare greedy answers of so many tokens")
      ->check(CLI::Range(0, 1 << 16))
      ->capture_default_str();
  app.add_option("--prompt", options.quality.prompt_tokens, "tokens before them")
      ->check(CLI::Range(1, 1 << 16))
      ->capture_default_str();
  app.add_option("--sink", options.quality.config.sink_tokens, "first tokens that stay 16 bit")
      ->check(CLI::Range(0, 1 << 16))
      ->capture_default_str();
  app.add_option("--window", options.quality.config.window_tokens, "last tokens that stay 16 bit")
      ->check(CLI::Range(0, 1 << 16))
      ->capture_default_str();
  app.add_option("--edge-layers", options.quality.edge_layers_16, "first and last layers in 16 bit")
      ->check(CLI::Range(0, 64))
      ->capture_default_str();
  app.add_option("--seed", options.quality.config.seed, "of rotations")->capture_default_str();
  app.add_option("--json", options.json_path, "also write the figures to this file");
  app.add_option("--svg", options.svg_path, "also plot KL divergence against bits per value");
  app.footer(list_of_formats());
}

Result<void> check(const Options& options, const models::ModelSpec& spec) {
  const KvConfig& kv = options.quality.config;
  for (const auto& [name, value] :
       {std::pair{"--sink", kv.sink_tokens}, std::pair{"--window", kv.window_tokens}}) {
    if (value % kv.block_tokens != 0) {
      return Error{Code::kInvalidArgument,
                   std::to_string(value) + " is no multiple of " + std::to_string(kv.block_tokens),
                   name};
    }
  }
  const auto fits = [&](int64_t tokens, const char* name) -> Result<void> {
    if (tokens <= spec.context_max) return {};
    return Error{Code::kInvalidArgument,
                 std::to_string(tokens) + " is more than the model's context of " +
                     std::to_string(spec.context_max),
                 name};
  };
  for (const int64_t context : options.quality.contexts) TQ_TRY(fits(context, "--context"));
  if (options.quality.generated_tokens > 0) {
    TQ_TRY(fits(options.quality.prompt_tokens + options.quality.generated_tokens, "--generate"));
  }
  for (const int64_t length : options.quality.needle_lengths) {
    TQ_TRY(fits(length + kv.seal_stride_tokens, "--needle"));
  }
  return {};
}

nlohmann::json settings_of(const Options& options) {
  const KvConfig& kv = options.quality.config;
  return {{"benchmark", "quality"},
          {"model", options.subject.model_path},
          {"sink_tokens", kv.sink_tokens},
          {"window_tokens", kv.window_tokens},
          {"edge_layers_16", options.quality.edge_layers_16}};
}

Result<void> run(const Options& options) {
  const QualityOptions& quality = options.quality;
  TQ_ASSIGN(const auto subject, Subject::load(options.subject));
  TQ_TRY(check(options, subject->spec()));
  TQ_ASSIGN(const auto texts, load_texts(options.texts, subject->tokenizer()));
  std::printf("%s; seed: %llu\n%s; sink %d, window %d, 16-bit edge layers %d\n",
              provenance().c_str(), static_cast<unsigned long long>(quality.config.seed),
              options.subject.model_path.c_str(), quality.config.sink_tokens,
              quality.config.window_tokens, quality.edge_layers_16);
  nlohmann::json document = settings_of(options);

  TQ_ASSIGN(const auto rows, measure_divergence(quality, *subject, texts));
  std::fputs(to_markdown(rows).c_str(), stdout);
  document["results"] = to_json(rows);
  if (!quality.needle_lengths.empty()) {
    TQ_ASSIGN(const auto needles, measure_needles(quality, *subject, texts));
    std::fputs(to_markdown(needles).c_str(), stdout);
    document["needles"] = to_json(needles);
  }
  if (quality.generated_tokens > 0) {
    TQ_ASSIGN(const auto generation, measure_generation(quality, *subject, texts));
    std::fputs(to_markdown(generation, quality.generated_tokens).c_str(), stdout);
    document["generation"] = to_json(generation);
  }
  if (!options.svg_path.empty()) TQ_TRY(write_file(options.svg_path, to_svg(rows), "--svg"));
  return write_json(options.json_path, std::move(document), quality.config.seed);
}

}  // namespace

int run_quality(int argc, char** argv) {
  Options options;
  CLI::App app("What each KV format costs on a real model, against 16-bit KV",
               "turboquant-bench quality");
  add_flags(app, options);
  CLI11_PARSE(app, argc, argv);
  const auto done = run(options);
  return done ? 0 : fail(done.error());
}

}  // namespace tq::bench
