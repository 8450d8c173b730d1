// `turboquant-bench kv`: what is chosen, worked out and printed without a model.

#include "bench/kv/kv_report.h"

#include <catch2/catch.hpp>
#include <cstring>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "bench/kv/peak_memory.h"

namespace tq::bench {
namespace {

constexpr KvFormats kBf16{KvFormat::kBf16, KvFormat::kBf16};
constexpr KvFormats kTq4{KvFormat::kTq4, KvFormat::kTq4};

// Three rounds: a slow spell in the second falls on both formats.
std::vector<KvRow> two_rows() {
  return summarise(std::vector{kTq4, kBf16},
                   {{{.prefill_s = 0.5, .decode_s = 1.0, .kv_bytes = 3, .peak_rss_bytes = 70},
                     {.prefill_s = 2.0, .decode_s = 8.0, .kv_bytes = 3, .peak_rss_bytes = 90},
                     {.prefill_s = 0.4, .decode_s = 0.8, .kv_bytes = 3, .peak_rss_bytes = 80}},
                    {{.prefill_s = 1.0, .decode_s = 2.0, .kv_bytes = 9},
                     {.prefill_s = 3.0, .decode_s = 9.0, .kv_bytes = 9},
                     {.prefill_s = 1.0, .decode_s = 2.0, .kv_bytes = 9}}},
                   100, 20);
}

}  // namespace

TEST_CASE("kv report: medians of the rounds, ratios within a round, the highest peak") {
  const std::vector<KvRow> rows = two_rows();
  REQUIRE(rows.size() == 2);
  CHECK(rows[0].kv == "tq4");
  CHECK(rows[0].context == 100);
  CHECK(rows[0].prefill_ms == Approx(500));
  CHECK(rows[0].prefill_tokens_per_s == Approx(200));
  CHECK(rows[0].decode_tokens_per_s == Approx(20));
  CHECK(rows[0].ratio_to_bf16.value() == Approx(2.0));  // of 2, 1.125 and 2.5
  CHECK(rows[0].kv_bytes == 3);
  CHECK(rows[0].peak_rss_bytes == 90);
  CHECK(rows[1].decode_tokens_per_s == Approx(10));
  CHECK(rows[1].ratio_to_bf16 == 1.0);
  CHECK_FALSE(rows[1].peak_rss_bytes.has_value());
}

TEST_CASE("kv report: no ratio without bf16, no prefill speed without a prompt") {
  const auto rows = summarise(std::vector{kTq4}, {{{.prefill_s = 0.0, .decode_s = 2.0}}}, 0, 8);
  CHECK_FALSE(rows[0].ratio_to_bf16.has_value());
  CHECK(rows[0].prefill_tokens_per_s == 0.0);
  CHECK(rows[0].decode_tokens_per_s == 4.0);
  CHECK(to_json(rows)[0]["ratio_to_bf16"].is_null());
}

TEST_CASE("kv report: JSON, table and plot") {
  const std::vector<KvRow> rows = two_rows();
  const nlohmann::json expected = {{"kv", "tq4"},
                                   {"context", 100},
                                   {"prefill_ms", 500.0},
                                   {"prefill_tokens_per_s", 200.0},
                                   {"decode_tokens_per_s", 20.0},
                                   {"ratio_to_bf16", 2.0},
                                   {"kv_bytes", 3},
                                   {"peak_rss_bytes", 90}};
  const nlohmann::json json = to_json(rows);
  REQUIRE(json.size() == 2);
  CHECK(json[0] == expected);
  CHECK(json[1]["peak_rss_bytes"].is_null());

  std::vector<KvRow> large = rows;
  large[0].kv_bytes = 3 << 19;
  large[0].peak_rss_bytes = 300 << 20;
  const std::string table = to_markdown(large);
  CHECK(table.find("| 100 | tq4 | 500 | 200 | 20.0 | 2.00 | 1.5 | 300.0 |\n") != std::string::npos);
  CHECK(table.find("| 100 | bf16 | 1000 | 100 | 10.0 | 1.00 | 0.0 | – |\n") != std::string::npos);

  const std::string svg = to_svg(rows);
  CHECK(svg.find("tq4") != std::string::npos);
  CHECK(svg.find("bf16") != std::string::npos);
}

TEST_CASE("kv report: formats and contexts") {
  const std::vector<std::string> names{"tq4", "bf16", "tq4/tq4", "tq8/tq2"};
  const auto formats = parse_formats(names);
  REQUIRE(formats.ok());
  CHECK(*formats == std::vector{kTq4, kBf16, KvFormats{KvFormat::kTq8, KvFormat::kTq2}});
  const auto unknown = parse_formats(std::vector<std::string>{"bf16", "tq5"});
  REQUIRE_FALSE(unknown.ok());
  CHECK(unknown.error().describe().find("tq5") != std::string::npos);

  using Contexts = std::vector<int64_t>;
  CHECK(*choose_contexts({}, 128, 8192) == Contexts{512, 2048, 8064});
  CHECK(*choose_contexts({}, 128, 1 << 17) == Contexts{512, 2048, 8192});
  CHECK(*choose_contexts({}, 128, 1024) == Contexts{512, 896});
  CHECK(*choose_contexts(Contexts{700, 0, 64, 700}, 10, 710) == Contexts{0, 64, 700});
  const auto too_long = choose_contexts(Contexts{701, 64}, 10, 710);
  REQUIRE_FALSE(too_long.ok());
  CHECK(too_long.error().where == "--context");
  CHECK(too_long.error().message.find("701") != std::string::npos);
  const auto no_room = choose_contexts({}, 128, 100);
  REQUIRE_FALSE(no_room.ok());
  CHECK(no_room.error().where == "--output");
}

TEST_CASE("peak memory: grows with what is touched, and is forgotten") {
  constexpr size_t kBytes = 64u << 20;
  if (!reset_peak_rss()) {
    WARN("skipped: this kernel does not let a process reset its peak");
    return;
  }
  const auto before = peak_rss_bytes();
  REQUIRE(before.has_value());
  {
    const auto memory = std::make_unique_for_overwrite<char[]>(kBytes);
    std::memset(memory.get(), 1, kBytes);
    volatile char keep = memory[kBytes / 2];
    (void)keep;
  }
  const auto peak = peak_rss_bytes();
  REQUIRE(peak.has_value());
  CHECK(*peak >= *before + kBytes / 2);
  REQUIRE(reset_peak_rss());
  CHECK(*peak_rss_bytes() < *peak);
}

}  // namespace tq::bench
