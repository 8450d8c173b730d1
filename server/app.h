#pragma once
// App: what requests are answered with: the engine, the model's words, and what the endpoints print
// of them. Filled by main (or a test), outlives the server, const but for counters. Any thread.

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "config/server_config.h"
#include "engine/engine.h"
#include "models/chat_template/chat_template.h"
#include "models/tokenizer/tokenizer.h"
#include "server/metrics.h"
#include "server/openai_request.h"

namespace tq::server {

struct App {
  const ServerConfig& config;
  engine::Engine& engine;
  const models::Tokenizer& tokenizer;
  const models::ChatTemplate* chat_template = nullptr;  // nullptr: the model has none
  KvFacts kv;
  ApiContext api;
  int64_t created = 0;  // when the server started, Unix seconds
  HttpCounters http;
  std::atomic<bool> draining{false};  // new requests get 503
};

// What validation and /v1/models need, derived from the parts.
struct ModelFacts {
  std::string name;
  int queue_max = 0;
};
ApiContext make_api_context(const ModelFacts& facts,
                            const engine::Engine& engine,
                            const models::Tokenizer& tokenizer,
                            const models::ChatTemplate* chat_template);

}  // namespace tq::server
