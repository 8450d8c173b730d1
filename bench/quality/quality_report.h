#pragma once
// The figures of `turboquant-bench quality`, and how they are shown: a Markdown table, JSON, a
// plot. Plain values; any thread.

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "bench/quality/divergence.h"

namespace tq::bench {

struct QualityRow {
  std::string kv;
  int64_t context = 0;
  double bits_per_value = 0.0;  // of a coded row, scales included
  DivergenceSummary divergence;
};

// One table per context; rows as they are.
std::string to_markdown(const std::vector<QualityRow>& rows);

// {"results": [{"kv", "context", "bits_per_value", "kl_mean", ...}]}
nlohmann::json to_json(const std::vector<QualityRow>& rows);

// Mean KL divergence against bits per value, one series per context.
std::string to_svg(const std::vector<QualityRow>& rows);

}  // namespace tq::bench
