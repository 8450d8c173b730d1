#include "bench/kv/kv_report.h"

#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>

#include "bench/results.h"
#include "bench/svg_plot.h"
#include "config/check.h"

namespace tq::bench {
namespace {

constexpr int64_t kContexts[] = {512, 2048, 8192};

std::string mebibytes(std::optional<uint64_t> bytes) {
  return bytes ? format("%.1f", static_cast<double>(*bytes) / (1 << 20)) : "–";
}

}  // namespace

Result<std::vector<KvFormats>> parse_formats(std::span<const std::string> names) {
  std::vector<KvFormats> formats;
  for (const std::string& name : names) {
    TQ_ASSIGN(const KvFormats one, parse_kv_formats(name));
    if (std::ranges::find(formats, one) == formats.end()) formats.push_back(one);
  }
  return formats;
}

Result<std::vector<int64_t>> choose_contexts(std::span<const int64_t> given,
                                             int64_t output,
                                             int64_t context_max) {
  const auto beyond = [&](int64_t context, const char* where) {
    return Error{Code::kInvalidArgument,
                 std::to_string(context) + " tokens and " + std::to_string(output) +
                     " of output are more than the model's context of " +
                     std::to_string(context_max),
                 where};
  };
  const int64_t longest = context_max - output;
  if (longest < 0) return beyond(0, "--output");
  std::vector<int64_t> contexts(given.begin(), given.end());
  if (given.empty()) {
    for (const int64_t one : kContexts) contexts.push_back(std::min(one, longest));
  }
  std::ranges::sort(contexts);
  contexts.erase(std::unique(contexts.begin(), contexts.end()), contexts.end());
  if (contexts.back() > longest) return beyond(contexts.back(), "--context");
  return contexts;
}

std::vector<KvRow> summarise(std::span<const KvFormats> formats,
                             const std::vector<std::vector<KvSample>>& samples,
                             int64_t context,
                             int64_t output) {
  TQ_CHECK(formats.size() == samples.size(), "samples per format", samples.size());
  const auto bf16 = std::ranges::find_if(formats, &KvFormats::sealed_is_hot);
  const auto n_context = static_cast<double>(context);
  std::vector<KvRow> rows;
  for (size_t i = 0; i < formats.size(); ++i) {
    std::vector<double> prefill;
    std::vector<double> decode;
    std::vector<double> ratios;
    KvRow row{.kv = to_string(formats[i]), .context = context};
    for (size_t round = 0; round < samples[i].size(); ++round) {
      const KvSample& sample = samples[i][round];
      prefill.push_back(sample.prefill_s);
      decode.push_back(sample.decode_s);
      row.kv_bytes = sample.kv_bytes;
      row.peak_rss_bytes = std::max(row.peak_rss_bytes, sample.peak_rss_bytes);
      if (bf16 == formats.end()) continue;
      const auto base = static_cast<size_t>(bf16 - formats.begin());
      ratios.push_back(samples[base][round].decode_s / sample.decode_s);
    }
    const double prefill_s = quantile(prefill, 0.5);
    row.prefill_ms = prefill_s * 1e3;
    if (context > 0) row.prefill_tokens_per_s = n_context / prefill_s;
    row.decode_tokens_per_s = static_cast<double>(output) / quantile(decode, 0.5);
    if (!ratios.empty()) row.ratio_to_bf16 = quantile(ratios, 0.5);
    rows.push_back(std::move(row));
  }
  return rows;
}

std::string to_markdown(std::span<const KvRow> rows) {
  std::string out =
      "\n| context | KV | prefill, ms | prefill, tokens/s | decode, tokens/s | × bf16 "
      "| KV, MiB | peak RSS, MiB |\n|---|---|---|---|---|---|---|---|\n";
  for (const KvRow& row : rows) {
    out += format("| %lld | %s | %.0f | %.0f | %.1f | %s | %s | %s |\n",
                  static_cast<long long>(row.context), row.kv.c_str(), row.prefill_ms,
                  row.prefill_tokens_per_s, row.decode_tokens_per_s,
                  row.ratio_to_bf16 ? format("%.2f", *row.ratio_to_bf16).c_str() : "–",
                  mebibytes(row.kv_bytes).c_str(), mebibytes(row.peak_rss_bytes).c_str());
  }
  return out;
}

nlohmann::json to_json(std::span<const KvRow> rows) {
  const auto or_null = [](const auto& value) { return value ? nlohmann::json(*value) : nullptr; };
  nlohmann::json results = nlohmann::json::array();
  for (const KvRow& row : rows) {
    results.push_back({{"kv", row.kv},
                       {"context", row.context},
                       {"prefill_ms", row.prefill_ms},
                       {"prefill_tokens_per_s", row.prefill_tokens_per_s},
                       {"decode_tokens_per_s", row.decode_tokens_per_s},
                       {"ratio_to_bf16", or_null(row.ratio_to_bf16)},
                       {"kv_bytes", row.kv_bytes},
                       {"peak_rss_bytes", or_null(row.peak_rss_bytes)}});
  }
  return results;
}

std::string to_svg(std::span<const KvRow> rows) {
  SvgPlot plot({.title = "Decode speed by KV format",
                .x = {.label = "context, tokens"},
                .y = {.label = "decode, tokens/s"}});
  std::vector<PlotSeries> lines;
  for (const KvRow& row : rows) {
    auto line = std::ranges::find(lines, row.kv, &PlotSeries::name);
    if (line == lines.end()) line = lines.insert(lines.end(), {.name = row.kv});
    line->points.push_back({.x = static_cast<double>(row.context), .y = row.decode_tokens_per_s});
  }
  for (PlotSeries& line : lines) {
    const auto added = plot.add(std::move(line));
    TQ_CHECK(added.ok(), "a series that cannot be drawn", rows.size());
  }
  return plot.render();
}

}  // namespace tq::bench
