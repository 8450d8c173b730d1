#include "bench/cuda/device_report.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "bench/results.h"
#include "config/check.h"

namespace tq::bench {
namespace {

double median(const TurnTimes& times) { return quantile(times.seconds, 0.5); }

// How many times as fast as the other, by time alone: the median of the rounds.
double speed_over(const TurnTimes& one, const TurnTimes& other) {
  TQ_CHECK(one.seconds.size() == other.seconds.size(), "rounds", one.seconds.size());
  std::vector<double> ratios;
  for (size_t round = 0; round < one.seconds.size(); ++round) {
    ratios.push_back(other.seconds[round] / one.seconds[round]);
  }
  return quantile(ratios, 0.5);
}

}  // namespace

std::vector<DeviceRow> summarise(const DeviceContest& contest) {
  const TurnTimes& bf16 = contest.formats.front();
  const TurnTimes& sdpa =
      *std::min_element(contest.sdpa.begin(), contest.sdpa.end(),
                        [](const auto& a, const auto& b) { return median(a) < median(b); });
  const auto n_rows = static_cast<double>(contest.rows_cached);
  std::vector<DeviceRow> rows;
  const auto add = [&](const TurnTimes& times) {
    DeviceRow row{.name = times.name, .context = contest.context, .bytes = times.bytes};
    row.bytes_per_token = static_cast<double>(times.bytes) / n_rows;
    row.us = median(times) * 1e6;
    row.us_p95 = quantile(times.seconds, 0.95) * 1e6;
    row.ns_per_token = row.us * 1e3 / n_rows;
    row.gb_per_s = static_cast<double>(times.bytes) / median(times) / 1e9;
    row.of_copy = speed_over(times, contest.copy) * static_cast<double>(times.bytes) /
                  static_cast<double>(contest.copy.bytes);
    row.times_bf16 = speed_over(times, bf16);
    row.times_sdpa = speed_over(times, sdpa);
    rows.push_back(row);
  };
  for (const TurnTimes& times : contest.sdpa) add(times);
  for (const TurnTimes& times : contest.formats) add(times);
  return rows;
}

std::string device_table_head() {
  return "| context | format | bytes/token | us | p95 | ns/token | GB/s | of copy | x bf16 | x "
         "SDPA "
         "|\n|---|---|---|---|---|---|---|---|---|---|\n";
}

std::string to_markdown(std::span<const DeviceRow> rows) {
  std::string text;
  for (const DeviceRow& row : rows) {
    text += format("| %d | %s | %.0f | %.1f | %.1f | %.4f | %.0f | %.2f | %.2f | %.2f |\n",
                   row.context, row.name.c_str(), row.bytes_per_token, row.us, row.us_p95,
                   row.ns_per_token, row.gb_per_s, row.of_copy, row.times_bf16, row.times_sdpa);
  }
  return text;
}

nlohmann::json to_json(std::span<const DeviceRow> rows) {
  nlohmann::json out = nlohmann::json::array();
  for (const DeviceRow& row : rows) {
    out.push_back({{"format", row.name},
                   {"context", row.context},
                   {"bytes", row.bytes},
                   {"bytes_per_token", row.bytes_per_token},
                   {"us", row.us},
                   {"us_p95", row.us_p95},
                   {"ns_per_token", row.ns_per_token},
                   {"gb_per_s", row.gb_per_s},
                   {"of_copy", row.of_copy},
                   {"times_bf16", row.times_bf16},
                   {"times_sdpa", row.times_sdpa}});
  }
  return out;
}

}  // namespace tq::bench
