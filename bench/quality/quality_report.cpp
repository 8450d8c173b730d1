#include "bench/quality/quality_report.h"

#include <map>
#include <nlohmann/json.hpp>
#include <utility>

#include "bench/results.h"
#include "bench/svg_plot.h"
#include "config/check.h"

namespace tq::bench {

std::string to_markdown(const std::vector<QualityRow>& rows) {
  std::string out;
  int64_t context = -1;
  for (const QualityRow& row : rows) {
    const DivergenceSummary& d = row.divergence;
    if (row.context != context) {
      context = row.context;
      out += format("\nContext %lld, %lld positions, perplexity of 16-bit KV %.3f\n\n",
                    static_cast<long long>(context), static_cast<long long>(d.n), d.reference_ppl);
      out +=
          "| KV | bits/value | KL mean, 1e-3 | median | p99 | max | same top-1, % "
          "| perplexity | ratio |\n|---|---|---|---|---|---|---|---|---|\n";
    }
    out += format("| %s | %.3f | %.3f ± %.3f | %.3f | %.2f | %.1f | %.2f ± %.2f ", row.kv.c_str(),
                  row.bits_per_value, 1e3 * d.kl_mean, 1e3 * d.kl_mean_error, 1e3 * d.kl_median,
                  1e3 * d.kl_p99, 1e3 * d.kl_max, 1e2 * d.top1, 1e2 * d.top1_error);
    out += format("| %.3f ± %.3f | %.4f ± %.4f |\n", d.ppl, d.ppl_error, d.ppl_ratio,
                  d.ppl_ratio_error);
  }
  return out;
}

nlohmann::json to_json(const std::vector<QualityRow>& rows) {
  nlohmann::json results = nlohmann::json::array();
  for (const QualityRow& row : rows) {
    const DivergenceSummary& d = row.divergence;
    results.push_back({{"kv", row.kv},
                       {"context", row.context},
                       {"bits_per_value", row.bits_per_value},
                       {"positions", d.n},
                       {"kl_mean", d.kl_mean},
                       {"kl_mean_error", d.kl_mean_error},
                       {"kl_median", d.kl_median},
                       {"kl_p99", d.kl_p99},
                       {"kl_max", d.kl_max},
                       {"top1", d.top1},
                       {"top1_error", d.top1_error},
                       {"ppl", d.ppl},
                       {"ppl_error", d.ppl_error},
                       {"ppl_reference", d.reference_ppl},
                       {"ppl_ratio", d.ppl_ratio},
                       {"ppl_ratio_error", d.ppl_ratio_error}});
  }
  return results;
}

std::string to_markdown(const std::vector<NeedleRow>& rows) {
  std::string out =
      "\n| KV | tokens | needles found, % | tokens right, % | mean rank |\n|---|---|---|---|---|\n";
  for (const NeedleRow& row : rows) {
    out += format("| %s | %lld | %.0f | %.0f | %.2f |\n", row.kv.c_str(),
                  static_cast<long long>(row.score.length), 1e2 * row.score.exact,
                  1e2 * row.score.token_top, row.score.mean_rank);
  }
  return out;
}

nlohmann::json to_json(const std::vector<NeedleRow>& rows) {
  nlohmann::json results = nlohmann::json::array();
  for (const NeedleRow& row : rows) {
    results.push_back({{"kv", row.kv},
                       {"length", row.score.length},
                       {"exact", row.score.exact},
                       {"token_top", row.score.token_top},
                       {"mean_rank", row.score.mean_rank}});
  }
  return results;
}

std::string to_markdown(const std::vector<GenerationRow>& rows, int64_t n_tokens) {
  std::string out =
      format("\nGreedy generation of %lld tokens\n\n", static_cast<long long>(n_tokens));
  out +=
      "| KV | prompts | tokens before the first that differs | identical, % |\n|---|---|---|---|\n";
  for (const GenerationRow& row : rows) {
    out += format("| %s | %lld | %.1f | %.0f |\n", row.kv.c_str(),
                  static_cast<long long>(row.score.n_prompts), row.score.same_prefix,
                  1e2 * row.score.identical);
  }
  return out;
}

nlohmann::json to_json(const std::vector<GenerationRow>& rows) {
  nlohmann::json results = nlohmann::json::array();
  for (const GenerationRow& row : rows) {
    results.push_back({{"kv", row.kv},
                       {"prompts", row.score.n_prompts},
                       {"same_prefix", row.score.same_prefix},
                       {"identical", row.score.identical}});
  }
  return results;
}

std::string to_svg(const std::vector<QualityRow>& rows) {
  SvgPlot plot({.title = "Cost of KV formats",
                .x = {.label = "bits per value, scales included"},
                .y = {.label = "mean KL divergence, nats", .scale = AxisScale::kLog}});
  std::map<int64_t, PlotSeries> by_context;
  for (const QualityRow& row : rows) {
    if (row.divergence.kl_mean <= 0.0) continue;  // 16 bit itself
    PlotSeries& series = by_context[row.context];
    series.name = "context " + std::to_string(row.context);
    series.style = SeriesStyle::kMarkers;
    series.points.push_back(
        {.x = row.bits_per_value, .y = row.divergence.kl_mean, .half_width = 0, .label = row.kv});
  }
  for (auto& [context, series] : by_context) {
    const auto added = plot.add(std::move(series));
    TQ_CHECK(added.ok(), "a series that cannot be drawn", context);
  }
  return plot.render();
}

}  // namespace tq::bench
