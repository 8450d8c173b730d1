#include "bench/serve_report.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "bench/results.h"

namespace tq::bench {
namespace {

double milliseconds(Clock::duration duration) {
  return std::chrono::duration<double, std::milli>(duration).count();
}

ServeReport::Percentiles percentiles(std::string name, std::vector<double> values) {
  ServeReport::Percentiles result;
  result.name = std::move(name);
  result.n = values.size();
  if (values.empty()) return result;
  for (const double value : values) result.mean += value / static_cast<double>(values.size());
  result.p50 = quantile(values, 0.50);
  result.p90 = quantile(values, 0.90);
  result.p95 = quantile(values, 0.95);
  result.p99 = quantile(values, 0.99);
  result.max = *std::max_element(values.begin(), values.end());
  return result;
}

}  // namespace

ServeReport summarise(const std::vector<Trace>& traces) {
  ServeReport report;
  report.n_requests = traces.size();
  std::map<std::string, size_t> errors;
  std::vector<double> first_token, between, end_to_end;
  Clock::time_point begin = Clock::time_point::max(), end = Clock::time_point::min();
  for (const Trace& trace : traces) {
    begin = std::min(begin, trace.start);
    end = std::max(end, trace.end);
    if (!trace.error.empty()) {
      ++errors[trace.error];
      continue;
    }
    ++report.n_ok;
    report.prompt_tokens += trace.prompt_tokens;
    report.cached_tokens += trace.cached_tokens;
    report.output_tokens += trace.output_tokens;
    end_to_end.push_back(milliseconds(trace.end - trace.start));
    if (trace.events.empty()) continue;
    first_token.push_back(milliseconds(trace.events.front() - trace.start));
    for (size_t i = 1; i < trace.events.size(); ++i) {
      between.push_back(milliseconds(trace.events[i] - trace.events[i - 1]));
    }
  }
  if (!traces.empty()) report.seconds = milliseconds(end - begin) / 1000.0;
  report.errors.assign(errors.begin(), errors.end());
  std::stable_sort(report.errors.begin(), report.errors.end(),
                   [](const auto& a, const auto& b) { return a.second > b.second; });
  report.times = {percentiles("time to first token", std::move(first_token)),
                  percentiles("between events", std::move(between)),
                  percentiles("end to end", std::move(end_to_end))};
  return report;
}

std::string to_markdown(const ServeReport& report) {
  std::string text = format("requests %zu, ok %zu, failed %zu, %.2f s\n", report.n_requests,
                            report.n_ok, report.n_requests - report.n_ok, report.seconds);
  for (const auto& [kind, n] : report.errors) text += format("  %zu x %s\n", n, kind.c_str());
  const double seconds = std::max(report.seconds, 1e-9);
  text += format(
      "tokens: prompt %lld (cached %lld), output %lld; %.1f output tokens/s, %.2f requests/s\n\n",
      static_cast<long long>(report.prompt_tokens), static_cast<long long>(report.cached_tokens),
      static_cast<long long>(report.output_tokens),
      static_cast<double>(report.output_tokens) / seconds,
      static_cast<double>(report.n_ok) / seconds);
  text += "| ms | n | mean | p50 | p90 | p95 | p99 | max |\n|---|---|---|---|---|---|---|---|\n";
  for (const auto& row : report.times) {
    text += format("| %s | %zu | %.1f | %.1f | %.1f | %.1f | %.1f | %.1f |\n", row.name.c_str(),
                   row.n, row.mean, row.p50, row.p90, row.p95, row.p99, row.max);
  }
  return text;
}

nlohmann::json to_json(const ServeReport& report) {
  nlohmann::json times = nlohmann::json::object();
  for (const auto& row : report.times) {
    times[row.name] = {{"n", row.n},     {"mean", row.mean}, {"p50", row.p50}, {"p90", row.p90},
                       {"p95", row.p95}, {"p99", row.p99},   {"max", row.max}};
  }
  nlohmann::json errors = nlohmann::json::object();
  for (const auto& [kind, n] : report.errors) errors[kind] = n;
  return {{"requests", report.n_requests},
          {"ok", report.n_ok},
          {"errors", errors},
          {"seconds", report.seconds},
          {"prompt_tokens", report.prompt_tokens},
          {"cached_tokens", report.cached_tokens},
          {"output_tokens", report.output_tokens},
          {"milliseconds", times}};
}

}  // namespace tq::bench
