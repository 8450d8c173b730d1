#pragma once
// What `turboquant-bench attention --device cuda` makes of its times. Pure; any thread.

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <vector>

namespace tq::bench {

// What took turns with others. The times of one round lie close together: ratios are taken in each.
struct TurnTimes {
  std::string name;
  uint64_t bytes = 0;             // moved by one call
  std::vector<double> seconds{};  // of one call; one number per round
};

// All that was measured of one shape.
struct DeviceContest {
  int context = 0;
  int64_t rows_cached = 0;  // of a layer: tokens × sequences × KV heads
  TurnTimes copy{};
  std::vector<TurnTimes> sdpa{};     // LibTorch's kernels; not empty
  std::vector<TurnTimes> formats{};  // bf16 first
};

struct DeviceRow {
  std::string name;
  int context = 0;
  uint64_t bytes = 0;  // read by one call: one layer of all sequences
  double bytes_per_token = 0;
  double us = 0;  // of one call; medians
  double us_p95 = 0;
  double ns_per_token = 0;  // cached token, sequence, layer and KV head
  double gb_per_s = 0;
  double of_copy = 0;     // share of the bytes per second that a copy reads and writes
  double times_bf16 = 0;  // speed over our bf16
  double times_sdpa = 0;  // speed over the fastest of LibTorch's
};

// LibTorch's kernels, then the formats.
std::vector<DeviceRow> summarise(const DeviceContest& contest);

std::string device_table_head();
std::string to_markdown(std::span<const DeviceRow> rows);
nlohmann::json to_json(std::span<const DeviceRow> rows);

}  // namespace tq::bench
