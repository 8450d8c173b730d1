#include "bench/quality/measurement.h"

#include <algorithm>
#include <memory>
#include <span>
#include <utility>

#include "bench/quality/divergence.h"
#include "bench/quality/generation.h"
#include "bench/quality/needle.h"
#include "bench/quality/progress.h"

namespace tq::bench {
namespace {

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

Result<std::unique_ptr<KvStore>> make_store(const QualityOptions& options,
                                            Subject& subject,
                                            const std::string& name,
                                            int64_t context) {
  return subject.make_store(name, options.config, context, options.edge_layers_16);
}

Result<Reference> refer(const QualityOptions& options,
                        Subject& subject,
                        const std::vector<TokenId>& window) {
  Reference reference{.logits = {}, .first = scored_from(window)};
  const auto n = static_cast<int64_t>(window.size());
  TQ_ASSIGN(auto store, subject.make_store("bf16", options.config, n, 0));
  TQ_TRY(subject.feed(*store, 0, std::span(window).first(window.size() - 1), reference.first,
                      [&](int64_t /*position*/, std::span<const float> logits) {
                        reference.logits.insert(reference.logits.end(), logits.begin(),
                                                logits.end());
                      }));
  return reference;
}

Result<void> compare_window(Subject& subject,
                            KvStore& store,
                            const std::vector<TokenId>& window,
                            const Reference& reference,
                            std::vector<Difference>& out) {
  const auto vocab = static_cast<size_t>(subject.spec().vocab_size);
  return subject.feed(
      store, 0, std::span(window).first(window.size() - 1), reference.first,
      [&](int64_t position, std::span<const float> logits) {
        const auto row = static_cast<size_t>(position - reference.first);
        out.push_back(compare(std::span(reference.logits).subspan(row * vocab, vocab), logits,
                              window[static_cast<size_t>(position) + 1]));
      });
}

Result<std::vector<QualityRow>> measure_context(const QualityOptions& options,
                                                Subject& subject,
                                                int64_t context,
                                                const std::vector<std::vector<TokenId>>& windows) {
  std::vector<QualityRow> rows(options.kv.size());
  std::vector<std::vector<Difference>> differences(rows.size());
  Progress progress(static_cast<int64_t>(windows.size() * (rows.size() + 1)));
  for (const auto& window : windows) {
    TQ_ASSIGN(const Reference reference, refer(options, subject, window));
    progress.add(1, "16 bit at " + std::to_string(context));
    for (size_t i = 0; i < rows.size(); ++i) {
      TQ_ASSIGN(auto store, make_store(options, subject, options.kv[i], context));
      rows[i].kv = options.kv[i];
      rows[i].context = context;
      rows[i].bits_per_value = store->bits_per_value();
      TQ_TRY(compare_window(subject, *store, window, reference, differences[i]));
      progress.add(1, options.kv[i] + " at " + std::to_string(context));
    }
  }
  for (size_t i = 0; i < rows.size(); ++i) rows[i].divergence = summarise(differences[i]);
  return rows;
}

// 16-bit KV first, then what was asked for.
std::vector<std::string> with_reference(const QualityOptions& options) {
  std::vector<std::string> names{"bf16"};
  for (const std::string& name : options.kv) {
    if (name != "bf16") names.push_back(name);
  }
  return names;
}

}  // namespace

Result<std::vector<QualityRow>> measure_divergence(const QualityOptions& options,
                                                   Subject& subject,
                                                   const std::vector<Text>& texts) {
  std::vector<QualityRow> rows;
  for (const int64_t context : options.contexts) {
    std::vector<std::vector<TokenId>> windows;
    for (const Text& text : texts) {
      TQ_ASSIGN(auto some, windows_of(text, context, options.text_tokens));
      windows.insert(windows.end(), some.begin(), some.end());
    }
    TQ_ASSIGN(auto measured, measure_context(options, subject, context, windows));
    rows.insert(rows.end(), measured.begin(), measured.end());
  }
  return rows;
}

Result<std::vector<NeedleRow>> measure_needles(const QualityOptions& options,
                                               Subject& subject,
                                               const std::vector<Text>& texts) {
  const auto names = with_reference(options);
  std::vector<NeedleRow> rows;
  Progress progress(static_cast<int64_t>(names.size() * options.needle_lengths.size()));
  for (const int64_t length : options.needle_lengths) {
    for (const std::string& name : names) {
      const int64_t context =
          std::min(length + options.config.seal_stride_tokens, subject.spec().context_max);
      TQ_ASSIGN(auto store, make_store(options, subject, name, context));
      TQ_ASSIGN(const NeedleScore score,
                find_needles(subject, *store, texts.front(),
                             {.length = length, .seed = options.config.seed}));
      rows.push_back({.kv = name, .score = score});
      progress.add(1, name + ", needles at " + std::to_string(length));
    }
  }
  return rows;
}

Result<std::vector<GenerationRow>> measure_generation(const QualityOptions& options,
                                                      Subject& subject,
                                                      const std::vector<Text>& texts) {
  const auto names = with_reference(options);
  std::vector<GenerationRow> rows;
  for (const std::string& name : names) rows.push_back({.kv = name, .score = {}});
  std::vector<std::vector<TokenId>> prompts;
  for (const Text& text : texts) {
    TQ_ASSIGN(auto some, windows_of(text, options.prompt_tokens, 2 * options.prompt_tokens));
    prompts.insert(prompts.end(), some.begin(), some.end());
  }
  Progress progress(static_cast<int64_t>(names.size() * prompts.size()));
  for (const auto& prompt : prompts) {
    std::vector<TokenId> reference;
    for (GenerationRow& row : rows) {
      TQ_ASSIGN(auto store, make_store(options, subject, row.kv,
                                       options.prompt_tokens + options.generated_tokens));
      TQ_ASSIGN(const auto answer, generate(subject, *store, prompt, options.generated_tokens));
      if (reference.empty()) reference = answer;
      row.score.add(reference, answer);
      progress.add(1, row.kv + ", generation");
    }
  }
  return rows;
}

}  // namespace tq::bench
