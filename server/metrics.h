#pragma once
// The text of /metrics: Prometheus exposition format 0.0.4, with the names that vLLM's dashboards
// and gateways know, and `turboquant:` ones for what only this server has. Pure; any thread.

#include <atomic>
#include <cstdint>
#include <string>

#include "engine/stats.h"
#include "quant/block_layout.h"

namespace tq::server {

inline constexpr const char* kMetricsContentType = "text/plain; version=0.0.4; charset=utf-8";

// What the layout of the KV store says, copied before the runner moves into the engine.
struct KvFacts {
  std::string format = "bf16";  // of sealed blocks: "tq4", "tq4/tq3"
  int block_tokens = 0;
  double hot_bytes_per_token = 0.0;
  double sealed_bytes_per_token = 0.0;
};

KvFacts kv_facts(const quant::BlockLayout& layout);

// Written by io threads, relaxed.
struct HttpCounters {
  std::atomic<int64_t> connections{0};
  std::atomic<int64_t> requests_active{0};
  std::atomic<uint64_t> connections_refused{0};
  std::atomic<uint64_t> answers_2xx{0};
  std::atomic<uint64_t> answers_4xx{0};
  std::atomic<uint64_t> answers_5xx{0};
  std::atomic<uint64_t> disconnects{0};  // clients that left before their answer was complete
};

struct MetricsInput {
  const engine::EngineStats& stats;
  const HttpCounters& http;
  const KvFacts& kv;
  const std::string& model_name;
};

std::string render_metrics(const MetricsInput& input);

}  // namespace tq::server
