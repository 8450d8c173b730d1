#pragma once
// The figures of `turboquant-bench quality`, and how they are shown: a Markdown table, JSON, a
// plot. Plain values; any thread.

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "bench/quality/divergence.h"
#include "bench/quality/generation.h"
#include "bench/quality/needle.h"

namespace tq::bench {

struct QualityRow {
  std::string kv;
  int64_t context = 0;
  double bits_per_value = 0.0;  // of a coded row, scales included
  DivergenceSummary divergence;
};

struct NeedleRow {
  std::string kv;
  NeedleScore score;
};

struct GenerationRow {
  std::string kv;
  GenerationScore score;
};

// A table per context; rows as they are.
std::string to_markdown(const std::vector<QualityRow>& rows);
std::string to_markdown(const std::vector<NeedleRow>& rows);
std::string to_markdown(const std::vector<GenerationRow>& rows, int64_t n_tokens);

// [{"kv", "context", "bits_per_value", "kl_mean", ...}]
nlohmann::json to_json(const std::vector<QualityRow>& rows);
// [{"kv", "length", "exact", "token_top", "mean_rank"}]
nlohmann::json to_json(const std::vector<NeedleRow>& rows);
// [{"kv", "prompts", "same_prefix", "identical"}]
nlohmann::json to_json(const std::vector<GenerationRow>& rows);

// Mean KL divergence against bits per value, one series per context.
std::string to_svg(const std::vector<QualityRow>& rows);

}  // namespace tq::bench
