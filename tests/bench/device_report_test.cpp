// `turboquant-bench attention --device cuda`: what it makes of its times.

#include "bench/cuda/device_report.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace tq::bench {
namespace {

// 1000 tokens of 2 sequences and 4 heads. The second round is a slow spell, which falls on all.
DeviceContest contest() {
  return {.context = 1000,
          .rows_cached = 8000,
          .copy = {.name = "copy", .bytes = 8000000, .seconds = {4e-6, 40e-6, 4e-6}},
          .sdpa = {{.name = "SDPA flash", .bytes = 4000000, .seconds = {4e-6, 36e-6, 4e-6}},
                   {.name = "SDPA cudnn", .bytes = 4000000, .seconds = {5e-6, 20e-6, 5e-6}}},
          .formats = {{.name = "bf16", .bytes = 4000000, .seconds = {3e-6, 30e-6, 3e-6}},
                      {.name = "tq4", .bytes = 1200000, .seconds = {1e-6, 15e-6, 2e-6}}}};
}

}  // namespace

TEST_CASE("device report: medians, bytes per second, ratios within a round") {
  const std::vector<DeviceRow> rows = summarise(contest());
  REQUIRE(rows.size() == 4);
  CHECK(rows[0].name == "SDPA flash");
  CHECK(rows[1].name == "SDPA cudnn");
  CHECK(rows[2].name == "bf16");
  const DeviceRow& tq4 = rows[3];
  CHECK(tq4.name == "tq4");
  CHECK(tq4.context == 1000);
  CHECK(tq4.bytes == 1200000);
  CHECK(tq4.bytes_per_token == Approx(150));
  CHECK(tq4.us == Approx(2));
  CHECK(tq4.us_p95 == Approx(15));
  CHECK(tq4.ns_per_token == Approx(0.25));
  CHECK(tq4.gb_per_s == Approx(600));
  CHECK(tq4.times_bf16 == Approx(2));            // of 3, 2 and 1.5
  CHECK(tq4.times_sdpa == Approx(2.4));          // flash, whose median is the smaller: 4, 2.4 and 2
  CHECK(tq4.of_copy == Approx(0.15 * 8.0 / 3));  // of 4, 40/15 and 2 times as fast
  CHECK(rows[2].times_bf16 == Approx(1));
  CHECK(rows[0].times_sdpa == Approx(1));
  CHECK(rows[1].times_sdpa == Approx(0.8));
}

TEST_CASE("device report: table and JSON") {
  const std::vector<DeviceRow> rows = summarise(contest());
  const auto cells = [](const std::string& line) {
    return std::count(line.begin(), line.end(), '|');
  };
  const std::string head = device_table_head();
  const std::string table = to_markdown(rows);
  CHECK(cells(head.substr(0, head.find('\n'))) == cells(table.substr(0, table.find('\n'))));
  CHECK(table.find("| 1000 | tq4 | 150 | 2.0 | 15.0 | 0.2500 | 600 | 0.40 | 2.00 | 2.40 |\n") !=
        std::string::npos);
  const nlohmann::json out = to_json(rows);
  REQUIRE(out.size() == 4);
  CHECK(out[3]["format"] == "tq4");
  CHECK(out[3]["bytes"] == 1200000);
  CHECK(out[3]["times_sdpa"].get<double>() == rows[3].times_sdpa);
}

}  // namespace tq::bench
