#include "bench/quality/quality_bench.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "bench/formats/kv_codec.h"
#include "bench/machine.h"
#include "bench/quality/divergence.h"
#include "bench/quality/progress.h"
#include "bench/quality/quality_report.h"
#include "bench/quality/subject.h"
#include "bench/quality/text_set.h"
#include "bench/results.h"

namespace tq::bench {
namespace {

struct Options {
  SubjectOptions subject{.model_path = ".deps/models/SmolLM2-135M-Instruct.Q4_1.gguf"};
  std::vector<std::string> kv{"tq4", "tq4/tq3", "tq3", "tq2", "q8_0", "q4_0_rot", "q4_0"};
  std::vector<int64_t> contexts{512, 2048};
  std::vector<std::string> texts{".deps/texts"};
  int64_t text_tokens = 4096;
  KvConfig config;
  int edge_layers_16 = 0;
  std::string json_path;
  std::string svg_path;
};

// The logits of 16-bit KV at the scored positions of one window.
struct Reference {
  std::vector<float> logits;  // [n - 1 - first, vocab_size]
  int64_t first = 0;
};

// The second half is scored: each of its positions has a context of at least half the length. The
// last position has no next token.
int64_t scored_from(const std::vector<TokenId>& window) {
  return static_cast<int64_t>(window.size()) / 2;
}

class Measurement {
 public:
  Measurement(const Options& options, Subject& subject) : options_(options), subject_(subject) {}

  Result<std::vector<QualityRow>> run() {
    TQ_ASSIGN(const auto texts, load_texts(options_.texts, subject_.tokenizer()));
    std::vector<QualityRow> rows;
    for (const int64_t context : options_.contexts) {
      std::vector<std::vector<TokenId>> windows;
      for (const Text& text : texts) {
        TQ_ASSIGN(auto some, windows_of(text, context, options_.text_tokens));
        windows.insert(windows.end(), some.begin(), some.end());
      }
      TQ_ASSIGN(auto measured, run_context(context, windows));
      rows.insert(rows.end(), measured.begin(), measured.end());
    }
    return rows;
  }

 private:
  Result<std::vector<QualityRow>> run_context(int64_t context,
                                              const std::vector<std::vector<TokenId>>& windows) {
    std::vector<QualityRow> rows(options_.kv.size());
    std::vector<std::vector<Difference>> differences(options_.kv.size());
    Progress progress(static_cast<int64_t>(windows.size() * (rows.size() + 1)));
    for (const auto& window : windows) {
      TQ_ASSIGN(const Reference reference, refer(window));
      progress.add(1, "16 bit");
      for (size_t i = 0; i < rows.size(); ++i) {
        TQ_ASSIGN(auto store, make_store(options_.kv[i], context));
        rows[i].kv = options_.kv[i];
        rows[i].context = context;
        rows[i].bits_per_value = store->bits_per_value();
        TQ_TRY(measure(*store, window, reference, differences[i]));
        progress.add(1, options_.kv[i] + " at " + std::to_string(context));
      }
    }
    for (size_t i = 0; i < rows.size(); ++i) rows[i].divergence = summarise(differences[i]);
    return rows;
  }

  Result<std::unique_ptr<KvStore>> make_store(const std::string& name, int64_t context) {
    return subject_.make_store(name, options_.config, context, options_.edge_layers_16);
  }

  Result<Reference> refer(const std::vector<TokenId>& window) {
    Reference reference{.logits = {}, .first = scored_from(window)};
    TQ_ASSIGN(auto store,
              subject_.make_store("bf16", options_.config, static_cast<int64_t>(window.size()), 0));
    const std::span<const TokenId> known = std::span(window).first(window.size() - 1);
    TQ_TRY(subject_.feed(*store, 0, known, reference.first,
                         [&](int64_t /*position*/, std::span<const float> logits) {
                           reference.logits.insert(reference.logits.end(), logits.begin(),
                                                   logits.end());
                         }));
    return reference;
  }

  Result<void> measure(KvStore& store,
                       const std::vector<TokenId>& window,
                       const Reference& reference,
                       std::vector<Difference>& out) {
    const auto vocab = static_cast<size_t>(subject_.spec().vocab_size);
    const std::span<const TokenId> known = std::span(window).first(window.size() - 1);
    return subject_.feed(
        store, 0, known, reference.first, [&](int64_t position, std::span<const float> logits) {
          const auto row = static_cast<size_t>(position - reference.first);
          out.push_back(compare(std::span(reference.logits).subspan(row * vocab, vocab), logits,
                                window[static_cast<size_t>(position) + 1]));
        });
  }

  const Options& options_;
  Subject& subject_;
};

std::string list_of_formats() {
  std::string text = "Formats of --kv; K/V for two, coded:F to simulate one of the server's own:\n";
  text += "  bf16, tq4, tq3, tq2: the server's, by its own kernels\n";
  for (const KvCodecEntry& entry : kv_codecs()) {
    text += "  " + std::string(entry.name) + ": " + std::string(entry.description) + "\n";
  }
  return text;
}

void add_flags(CLI::App& app, Options& options) {
  app.add_option("--model", options.subject.model_path, "GGUF file or Hugging Face folder")
      ->capture_default_str();
  app.add_option("--kv", options.kv, "formats, a list")->delimiter(',')->capture_default_str();
  app.add_option("--context", options.contexts,
                 "tokens of a window, a list; its second half is scored")
      ->delimiter(',')
      ->check(CLI::Range(64, 1 << 20))
      ->capture_default_str();
  app.add_option("--text", options.texts, "files or folders of *.txt, a list")
      ->delimiter(',')
      ->capture_default_str();
  app.add_option("--text-tokens", options.text_tokens,
                 "of each text: as many windows as start within")
      ->check(CLI::Range(1, 1 << 24))
      ->capture_default_str();
  app.add_option("--sink", options.config.sink_tokens, "first tokens that stay 16 bit")
      ->check(CLI::Range(0, 1 << 16))
      ->capture_default_str();
  app.add_option("--window", options.config.window_tokens, "last tokens that stay 16 bit")
      ->check(CLI::Range(0, 1 << 16))
      ->capture_default_str();
  app.add_option("--edge-layers", options.edge_layers_16, "first and last layers in 16 bit")
      ->check(CLI::Range(0, 64))
      ->capture_default_str();
  app.add_option("--seed", options.config.seed, "of rotations")->capture_default_str();
  app.add_option("--threads", options.subject.n_threads, "of the model")
      ->check(CLI::Range(1, 256))
      ->capture_default_str();
  app.add_option("--backend", options.subject.backend, "auto, scalar, avx2, avx512")
      ->capture_default_str();
  app.add_option("--json", options.json_path, "also write the figures to this file");
  app.add_option("--svg", options.svg_path, "also plot KL divergence against bits per value");
  app.footer(list_of_formats());
}

Result<void> check(const Options& options, const models::ModelSpec& spec) {
  const KvConfig& kv = options.config;
  for (const auto& [name, value] :
       {std::pair{"--sink", kv.sink_tokens}, std::pair{"--window", kv.window_tokens}}) {
    if (value % kv.block_tokens != 0) {
      return Error{Code::kInvalidArgument,
                   std::to_string(value) + " is no multiple of " + std::to_string(kv.block_tokens),
                   name};
    }
  }
  for (const int64_t context : options.contexts) {
    if (context > spec.context_max) {
      return Error{Code::kInvalidArgument,
                   std::to_string(context) + " is more than the model's context of " +
                       std::to_string(spec.context_max),
                   "--context"};
    }
  }
  return {};
}

Result<void> run(const Options& options) {
  TQ_ASSIGN(const auto subject, Subject::load(options.subject));
  TQ_TRY(check(options, subject->spec()));
  TQ_ASSIGN(const auto rows, Measurement(options, *subject).run());
  std::printf("%s; seed: %llu\n%s; sink %d, window %d, 16-bit edge layers %d\n%s",
              provenance().c_str(), static_cast<unsigned long long>(options.config.seed),
              options.subject.model_path.c_str(), options.config.sink_tokens,
              options.config.window_tokens, options.edge_layers_16, to_markdown(rows).c_str());
  if (!options.svg_path.empty()) {
    std::ofstream file(options.svg_path);
    file << to_svg(rows);
    if (!file.flush()) return Error{Code::kIo, "cannot write '" + options.svg_path + "'", "--svg"};
  }
  nlohmann::json document = to_json(rows);
  document["benchmark"] = "quality";
  document["model"] = options.subject.model_path;
  document["sink_tokens"] = options.config.sink_tokens;
  document["window_tokens"] = options.config.window_tokens;
  document["edge_layers_16"] = options.edge_layers_16;
  return write_json(options.json_path, std::move(document), options.config.seed);
}

}  // namespace

int run_quality(int argc, char** argv) {
  Options options;
  options.subject.n_threads = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  CLI::App app("What each KV format costs on a real model, against 16-bit KV",
               "turboquant-bench quality");
  add_flags(app, options);
  CLI11_PARSE(app, argc, argv);
  const auto done = run(options);
  return done ? 0 : fail(done.error());
}

}  // namespace tq::bench
