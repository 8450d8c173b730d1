#pragma once
// What `turboquant-bench kv` measures, and its table, JSON and plot. Pure.

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "config/kv_config.h"
#include "config/result.h"

namespace tq::bench {

// One format at one context in one round.
struct KvSample {
  double prefill_s = 0.0;                    // of the context's tokens, to the logits of the last
  double decode_s = 0.0;                     // of the tokens after it, one by one
  uint64_t kv_bytes = 0;                     // both pools, as large as this one sequence needs
  std::optional<uint64_t> peak_rss_bytes{};  // of the process; nothing where the kernel won't say
};

struct KvRow {
  std::string kv;
  int64_t context = 0;  // tokens of the prompt; 0: decoding starts with an empty store
  double prefill_ms = 0.0;
  double prefill_tokens_per_s = 0.0;
  double decode_tokens_per_s = 0.0;
  std::optional<double> ratio_to_bf16{};  // of decode speed; nothing where bf16 is not measured
  uint64_t kv_bytes = 0;
  std::optional<uint64_t> peak_rss_bytes{};  // the highest of the rounds
};

// bf16 and the server's own formats, each once, in the order given. Error: an unknown name.
Result<std::vector<KvFormats>> parse_formats(std::span<const std::string> names);

// The contexts to measure. given empty: the defaults, each clipped to what leaves `output` tokens
// of context_max. Error: a context, given or clipped, that does not fit.
Result<std::vector<int64_t>> choose_contexts(std::span<const int64_t> given,
                                             int64_t output,
                                             int64_t context_max);

// Medians over the rounds. samples, all of one context: [formats][rounds]. A ratio is the median of
// the rounds', so that a slow spell falls on both its sides.
std::vector<KvRow> summarise(std::span<const KvFormats> formats,
                             const std::vector<std::vector<KvSample>>& samples,
                             int64_t context,
                             int64_t output);

std::string to_markdown(std::span<const KvRow> rows);
nlohmann::json to_json(std::span<const KvRow> rows);
std::string to_svg(std::span<const KvRow> rows);  // decode speed by context, a line per format

}  // namespace tq::bench
