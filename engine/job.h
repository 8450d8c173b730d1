#pragma once
// Job: one sequence that the engine is asked to complete. A value: made by the server, moved
// through the inbox, owned by the engine thread afterwards. Validated before submission
// (server/openai_api.h).

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "config/ids.h"
#include "engine/event_sink.h"

namespace tq::engine {

struct SamplingParams {
  float temperature = 1.0f;         // 0: greedy
  int top_k = 0;                    // 0: off
  float top_p = 1.0f;               // 1: off
  float min_p = 0.0f;               // 0: off
  float typical_p = 1.0f;           // 1: off
  float repetition_penalty = 1.0f;  // over prompt and output, 1: off
  float presence_penalty = 0.0f;    // over output
  float frequency_penalty = 0.0f;   // over output
  std::vector<std::pair<TokenId, float>> logit_bias;
  std::optional<uint64_t> seed;  // absent: drawn by the engine
  bool logprobs = false;
  int top_logprobs = 0;
};

struct StopRules {
  int64_t max_tokens = 0;  // completion tokens; >= 1
  int64_t min_tokens = 0;  // no stop token or string before that many
  std::vector<std::string> strings;
  std::vector<TokenId> token_ids;
  bool ignore_eos = false;
  bool include_stop_string = false;
};

struct Job {
  std::vector<TokenId> prompt;  // at least one token
  SamplingParams sampling;
  StopRules stop;
  int priority = 0;  // lower runs first; equal: by arrival
  std::optional<std::chrono::steady_clock::time_point> deadline;
  std::shared_ptr<EventSink> sink;  // the one object that engine and server share
};

}  // namespace tq::engine
