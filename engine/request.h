#pragma once
// Request: what the engine keeps of a job beside the scheduler's Sequence: how to sample, when to
// stop, whom to tell, and the times for the histograms. Owned by EngineLoop, engine thread only.

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "config/ids.h"
#include "engine/event_sink.h"
#include "engine/inbox.h"
#include "engine/job.h"
#include "engine/text_stream.h"

namespace tq::engine {

struct Request {
  SeqId id{};
  SamplingParams sampling;
  uint64_t seed = 0;
  std::vector<TokenId> stop_tokens;  // end the sequence; banned before min_tokens
  int64_t max_tokens = 0;
  int64_t min_tokens = 0;
  std::optional<Clock::time_point> deadline;
  std::shared_ptr<EventSink> sink;
  TextStream text;

  Usage usage;
  Clock::time_point arrived;
  std::optional<Clock::time_point> started;  // first admitted
  std::optional<Clock::time_point> first_token;
  Clock::time_point last_token;
};

}  // namespace tq::engine
