#pragma once
// The three measurements of `turboquant-bench quality`, each against 16-bit KV on the same tokens.
// One thread; a progress bar on stderr.

#include <cstdint>
#include <string>
#include <vector>

#include "bench/quality/quality_report.h"
#include "bench/quality/subject.h"
#include "bench/quality/text_set.h"
#include "config/kv_config.h"
#include "config/result.h"

namespace tq::bench {

// Another engine's logits, bench/quality/peer_logits.h.
struct PeerFile {
  std::string name;  // as for --kv where we know the format too, so that its bits are known
  std::string path;
};

struct QualityOptions {
  std::vector<std::string> kv{"tq8", "tq4", "tq4/tq3", "tq3", "tq2", "q8_0", "q4_0_rot", "q4_0"};
  std::vector<int64_t> contexts{512, 2048};  // tokens of a window; its second half is scored
  int64_t text_tokens = 4096;                // of each text, for divergence
  std::vector<int64_t> needle_lengths;       // none: no needle test
  int64_t generated_tokens = 0;              // 0: no generation
  int64_t prompt_tokens = 1024;              // before them
  std::vector<PeerFile> peers;               // none, or: the texts are theirs
  std::string peer_reference;                // their own 16-bit KV; empty: ours
  KvConfig config;                           // sinks, window, seed
  int edge_layers_16 = 0;
};

Result<std::vector<QualityRow>> measure_divergence(const QualityOptions& options,
                                                   Subject& subject,
                                                   const std::vector<Text>& texts);

// In the first text.
Result<std::vector<NeedleRow>> measure_needles(const QualityOptions& options,
                                               Subject& subject,
                                               const std::vector<Text>& texts);

// After the first prompt_tokens of each text, and after the next.
Result<std::vector<GenerationRow>> measure_generation(const QualityOptions& options,
                                                      Subject& subject,
                                                      const std::vector<Text>& texts);

}  // namespace tq::bench
