#include "server/metrics.h"

#include <catch2/catch.hpp>
#include <regex>
#include <set>
#include <sstream>

using namespace tq;
using namespace tq::server;

namespace {

std::string page_of(const engine::EngineStats& stats, const std::string& model = "m\"x\\y") {
  const HttpCounters http;
  const KvFacts kv{.format = "tq4",
                   .block_tokens = 32,
                   .hot_bytes_per_token = 1000.0,
                   .sealed_bytes_per_token = 257.8125};
  return render_metrics({.stats = stats, .http = http, .kv = kv, .model_name = model});
}

bool holds(const std::string& page, const std::string& line) {
  return page.find(line + "\n") != std::string::npos;
}

}  // namespace

TEST_CASE("every line is what format 0.0.4 allows, and each family is declared once, before it") {
  const engine::EngineStats stats;
  std::istringstream lines(page_of(stats));
  const std::regex sample(
      R"re(([a-zA-Z_:][a-zA-Z0-9_:]*)\{([a-z_]+="(\\.|[^"\\])*",?)+\} (-?[0-9.e+-]+|\+Inf|NaN))re");
  std::set<std::string> declared;
  std::string family;
  for (std::string line; std::getline(lines, line);) {
    INFO(line);
    if (line.starts_with("# HELP ")) {
      family = line.substr(7, line.find(' ', 7) - 7);
      REQUIRE(declared.insert(family).second);
    } else if (line.starts_with("# TYPE ")) {
      REQUIRE(line.substr(7, line.find(' ', 7) - 7) == family);
    } else {
      std::smatch match;
      REQUIRE(std::regex_match(line, match, sample));
      REQUIRE(match[1].str().starts_with(family));
    }
  }
}

TEST_CASE("the names that dashboards know are there") {
  const engine::EngineStats stats;
  const std::string page = page_of(stats);
  for (const char* name : {"vllm:num_requests_running",
                           "vllm:num_requests_waiting",
                           "vllm:kv_cache_usage_perc",
                           "vllm:cache_config_info",
                           "vllm:prompt_tokens_total",
                           "vllm:generation_tokens_total",
                           "vllm:request_success_total",
                           "vllm:num_preemptions_total",
                           "vllm:prefix_cache_queries_total",
                           "vllm:prefix_cache_hits_total",
                           "vllm:iteration_tokens_total_bucket",
                           "vllm:time_to_first_token_seconds_bucket",
                           "vllm:inter_token_latency_seconds_sum",
                           "vllm:e2e_request_latency_seconds_count",
                           "vllm:request_queue_time_seconds_bucket",
                           "vllm:request_inference_time_seconds_bucket",
                           "vllm:request_prefill_time_seconds_bucket",
                           "vllm:request_decode_time_seconds_bucket",
                           "vllm:request_prompt_tokens_bucket",
                           "vllm:request_generation_tokens_bucket",
                           "turboquant:kv_bytes_per_token",
                           "turboquant:kv_compression_ratio",
                           "turboquant:tokens_held",
                           "turboquant:kv_blocks_swapped_out_total",
                           "turboquant:kv_blocks_swapped_in_total"}) {
    INFO(name);
    REQUIRE(page.find(std::string("\n") + name + "{model_name=\"m\\\"x\\\\y\",engine=\"0\"") !=
            std::string::npos);
  }
}

TEST_CASE("values are those of the engine") {
  engine::EngineStats stats;
  stats.running = 3;
  stats.hot_blocks_used = 5;
  stats.hot_blocks_total = 10;
  stats.sealed_blocks_used = 30;
  stats.sealed_blocks_total = 40;
  stats.finished_stop = 7;
  const std::string page = page_of(stats, "m");
  const std::string labels = R"({model_name="m",engine="0"})";
  REQUIRE(holds(page, "vllm:num_requests_running" + labels + " 3"));
  REQUIRE(holds(page, "vllm:kv_cache_usage_perc" + labels + " 0.75"));
  REQUIRE(holds(page, "turboquant:kv_bytes_ratio" + labels + " 0.2578125"));
  REQUIRE(holds(page, R"(vllm:request_success_total{model_name="m",engine="0",)"
                      R"(finished_reason="stop"} 7)"));
  REQUIRE(holds(page, R"(turboquant:kv_bytes_per_token{model_name="m",engine="0",format="tq4",)"
                      R"(state="sealed"} 257.8125)"));
}

TEST_CASE("histograms are cumulative and end at their count") {
  engine::EngineStats stats;
  stats.time_to_first_token_s.observe(0.003);
  stats.time_to_first_token_s.observe(0.03);
  stats.time_to_first_token_s.observe(1e6);
  const std::string page = page_of(stats, "m");
  const std::string bucket =
      R"(vllm:time_to_first_token_seconds_bucket{model_name="m",engine="0",)";
  REQUIRE(holds(page, bucket + R"(le="0.001"} 0)"));
  REQUIRE(holds(page, bucket + R"(le="0.005"} 1)"));
  REQUIRE(holds(page, bucket + R"(le="0.04"} 2)"));
  REQUIRE(holds(page, bucket + R"(le="2560"} 2)"));
  REQUIRE(holds(page, bucket + R"(le="+Inf"} 3)"));
  REQUIRE(holds(page, R"(vllm:time_to_first_token_seconds_count{model_name="m",engine="0"} 3)"));
}
