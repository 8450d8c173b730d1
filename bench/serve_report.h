#pragma once
// Percentiles and tables of a load test. Pure.

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "bench/load_client.h"

namespace tq::bench {

// Times in milliseconds of the requests that ended well; the others are counted by kind.
struct ServeReport {
  struct Percentiles {
    std::string name;
    size_t n = 0;
    double mean = 0, p50 = 0, p90 = 0, p95 = 0, p99 = 0, max = 0;
  };
  size_t n_requests = 0;
  size_t n_ok = 0;
  std::vector<std::pair<std::string, size_t>> errors;  // by kind, most frequent first
  double seconds = 0;                                  // first start to last end
  int64_t prompt_tokens = 0, cached_tokens = 0, output_tokens = 0;
  std::vector<Percentiles> times;  // time to first token, between tokens, end to end
};

ServeReport summarise(const std::vector<Trace>& traces);
std::string to_markdown(const ServeReport& report);
nlohmann::json to_json(const ServeReport& report);

}  // namespace tq::bench
