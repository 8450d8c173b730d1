#include "bench/kv/kv_measurement.h"

#include <algorithm>
#include <chrono>
#include <functional>
#include <iterator>
#include <utility>

#include "bench/kv/peak_memory.h"
#include "bench/quality/progress.h"
#include "quant/random.h"

namespace tq::bench {
namespace {

// The first steps of a process are slow: pages of the weights, threads, LibTorch's own memory.
constexpr int64_t kWarmUpPrompt = 128;
constexpr int64_t kWarmUpTokens = kWarmUpPrompt + 8;

// Speed does not depend on the words.
std::vector<TokenId> random_tokens(int64_t n, int vocab_size, uint64_t seed) {
  quant::Rng rng(seed, quant::RngStream::kData);
  std::vector<TokenId> tokens;
  for (int64_t i = 0; i < n; ++i) tokens.push_back(TokenId{rng.below(vocab_size)});
  return tokens;
}

Result<double> seconds_of(const std::function<Result<void>()>& run) {
  const auto start = std::chrono::steady_clock::now();
  TQ_TRY(run());
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// One sequence in a store of its own, alone in memory with the weights. tokens: the prompt of
// `context`, then what is decoded.
Result<KvSample> run_sequence(Subject& subject,
                              KvFormats formats,
                              const KvConfig& config,
                              std::span<const TokenId> tokens,
                              int64_t context) {
  const auto no_visit = [](int64_t /*position*/, std::span<const float> /*logits*/) {};
  const auto n_tokens = static_cast<int64_t>(tokens.size());
  KvSample sample;
  const bool has_peak = reset_peak_rss();
  TQ_ASSIGN(auto store, subject.make_store(to_string(formats), config, n_tokens, 0));
  sample.kv_bytes = store->arena_bytes();
  TQ_ASSIGN(sample.prefill_s, seconds_of([&] {
              return subject.feed(*store, 0, tokens.first(static_cast<size_t>(context)),
                                  context - 1, no_visit);
            }));
  TQ_ASSIGN(
      sample.decode_s, seconds_of([&]() -> Result<void> {
        for (int64_t i = context; i < n_tokens; ++i) {
          TQ_TRY(subject.feed(*store, i, tokens.subspan(static_cast<size_t>(i), 1), i, no_visit));
        }
        return {};
      }));
  if (has_peak) sample.peak_rss_bytes = peak_rss_bytes();
  return sample;
}

// All formats of a context in turns: [formats][rounds].
Result<std::vector<std::vector<KvSample>>> measure_context(const KvSpeedOptions& options,
                                                           Subject& subject,
                                                           std::span<const KvFormats> formats,
                                                           std::span<const TokenId> tokens,
                                                           Progress& progress) {
  const auto length = static_cast<int64_t>(tokens.size());
  const int64_t context = length - options.output;
  std::vector<std::vector<KvSample>> samples(formats.size());
  for (int round = 0; round < options.n_rounds; ++round) {
    for (size_t i = 0; i < formats.size(); ++i) {
      TQ_ASSIGN(const KvSample sample,
                run_sequence(subject, formats[i], options.config, tokens, context));
      samples[i].push_back(sample);
      progress.add(length, to_string(formats[i]) + ", " + std::to_string(context) +
                               " tokens, round " + std::to_string(round + 1));
    }
  }
  return samples;
}

}  // namespace

Result<std::vector<KvRow>> measure_kv(const KvSpeedOptions& options, Subject& subject) {
  const models::ModelSpec& spec = subject.spec();
  TQ_ASSIGN(const auto formats, parse_formats(options.kv));
  TQ_ASSIGN(const auto contexts,
            choose_contexts(options.contexts, options.output, spec.context_max));
  const std::vector<TokenId> tokens =
      random_tokens(std::max(kWarmUpTokens, contexts.back() + options.output), spec.vocab_size,
                    options.config.seed);
  const auto first = [&](int64_t n) { return std::span(tokens).first(static_cast<size_t>(n)); };

  int64_t n_total = 0;
  for (const int64_t context : contexts) n_total += context + options.output;
  Progress progress(n_total * static_cast<int64_t>(formats.size()) * options.n_rounds);
  for (const KvFormats one : formats) {
    TQ_TRY(run_sequence(subject, one, options.config, first(kWarmUpTokens), kWarmUpPrompt));
  }
  std::vector<KvRow> rows;
  for (const int64_t context : contexts) {
    TQ_ASSIGN(const auto samples, measure_context(options, subject, formats,
                                                  first(context + options.output), progress));
    std::ranges::move(summarise(formats, samples, context, options.output),
                      std::back_inserter(rows));
  }
  return rows;
}

}  // namespace tq::bench
