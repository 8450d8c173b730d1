#include "bench/quality/measurement.h"

#include <algorithm>
#include <memory>
#include <span>
#include <utility>

#include "bench/formats/kv_codec.h"
#include "bench/quality/divergence.h"
#include "bench/quality/generation.h"
#include "bench/quality/needle.h"
#include "bench/quality/peer_logits.h"
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

// Other engines' dumps of one text.
struct Peers {
  std::vector<std::unique_ptr<PeerLogits>> files;  // as options.peers
  std::unique_ptr<PeerLogits> reference;           // null: ours

  const PeerLogits& first() const { return *files.front(); }
};

Result<Peers> open_peers(const QualityOptions& options, const Subject& subject) {
  Peers peers;
  for (const PeerFile& peer : options.peers) {
    TQ_ASSIGN(auto file, PeerLogits::open(peer.path));
    peers.files.push_back(std::move(file));
  }
  if (!options.peer_reference.empty()) {
    TQ_ASSIGN(peers.reference, PeerLogits::open(options.peer_reference));
  }
  if (peers.first().context() > subject.spec().context_max) {
    return Error{Code::kInvalidArgument,
                 "a context of " + std::to_string(peers.first().context()) +
                     " is more than the model's " + std::to_string(subject.spec().context_max),
                 "--peer"};
  }
  const auto agrees = [&](const PeerLogits& file) {
    if (file.context() != peers.first().context() || file.n_chunks() != peers.first().n_chunks() ||
        file.vocab_size() != subject.spec().vocab_size) {
      return false;
    }
    for (int64_t i = 0; i < file.n_chunks(); ++i) {
      if (file.chunk(i) != peers.first().chunk(i)) return false;
    }
    return true;
  };
  bool all_agree = !peers.reference || agrees(*peers.reference);
  for (const auto& file : peers.files) all_agree = all_agree && agrees(*file);
  if (!all_agree) {
    return Error{Code::kInvalidArgument,
                 "the dumps are not all of the same tokens, or not of this model's vocabulary",
                 "--peer"};
  }
  return peers;
}

Result<void> compare_peer(const Peers& peers,
                          PeerLogits& file,
                          int64_t chunk,
                          const Reference& ours,
                          std::vector<Difference>& out) {
  const std::vector<TokenId> tokens = file.chunk(chunk);
  const auto vocab = static_cast<size_t>(file.vocab_size());
  std::vector<float> reference(vocab);
  std::vector<float> logits(vocab);
  for (int64_t position = ours.first; position + 1 < file.context(); ++position) {
    const auto row = static_cast<size_t>(position - ours.first);
    if (peers.reference) {
      TQ_TRY(peers.reference->read(chunk, position, reference));
    } else {
      const auto own = std::span(ours.logits).subspan(row * vocab, vocab);
      reference.assign(own.begin(), own.end());
    }
    TQ_TRY(file.read(chunk, position, logits));
    out.push_back(compare(reference, logits, tokens[static_cast<size_t>(position) + 1]));
  }
  return {};
}

QualityRow peer_row(const PeerFile& peer, int64_t context, const Subject& subject) {
  QualityRow row;
  row.kv = "peer " + peer.name;
  row.context = context;
  const auto codec = make_kv_codec(peer.name, {.head_dim = subject.spec().head_dim});
  if (codec) row.bits_per_value = (*codec)->mean_bits_per_value();
  return row;
}

// `peers`: null, or theirs are the windows.
Result<std::vector<QualityRow>> measure_context(const QualityOptions& options,
                                                Subject& subject,
                                                int64_t context,
                                                const std::vector<std::vector<TokenId>>& windows,
                                                Peers* peers) {
  const size_t n_ours = options.kv.size();
  std::vector<QualityRow> rows(n_ours);
  if (peers != nullptr) {
    rows.reserve(n_ours + options.peers.size());
    for (const PeerFile& peer : options.peers) rows.push_back(peer_row(peer, context, subject));
  }
  std::vector<std::vector<Difference>> differences(rows.size());
  Progress progress(static_cast<int64_t>(windows.size() * (rows.size() + 1)));
  int64_t index = -1;
  for (const auto& window : windows) {
    ++index;
    TQ_ASSIGN(const Reference reference, refer(options, subject, window));
    progress.add(1, "16 bit at " + std::to_string(context));
    for (size_t i = n_ours; i < rows.size(); ++i) {
      TQ_TRY(compare_peer(*peers, *peers->files[i - n_ours], index, reference, differences[i]));
      progress.add(1, rows[i].kv);
    }
    for (size_t i = 0; i < n_ours; ++i) {
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

// windows_of() each text, one text after the other.
Result<std::vector<std::vector<TokenId>>> windows_of_all(const std::vector<Text>& texts,
                                                         int64_t n,
                                                         int64_t n_tokens) {
  std::vector<std::vector<TokenId>> windows;
  for (const Text& text : texts) {
    TQ_ASSIGN(auto some, windows_of(text, n, n_tokens));
    windows.insert(windows.end(), some.begin(), some.end());
  }
  return windows;
}

// 16-bit KV first, then what was asked for.
std::vector<std::string> with_reference(const QualityOptions& options) {
  std::vector<std::string> names{"bf16"};
  names.reserve(options.kv.size() + 1);
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
  if (!options.peers.empty()) {
    TQ_ASSIGN(Peers peers, open_peers(options, subject));
    const int64_t context = peers.first().context();
    std::vector<std::vector<TokenId>> windows;
    for (int64_t i = 0; i < peers.first().n_chunks() && i * context < options.text_tokens; ++i) {
      windows.push_back(peers.first().chunk(i));
    }
    return measure_context(options, subject, context, windows, &peers);
  }
  for (const int64_t context : options.contexts) {
    TQ_ASSIGN(const auto windows, windows_of_all(texts, context, options.text_tokens));
    TQ_ASSIGN(auto measured, measure_context(options, subject, context, windows, nullptr));
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
  rows.reserve(names.size());
  for (const std::string& name : names) rows.push_back({.kv = name, .score = {}});
  TQ_ASSIGN(const auto prompts,
            windows_of_all(texts, options.prompt_tokens, 2 * options.prompt_tokens));
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
