#pragma once
// LoadClient: one streamed completion over HTTP against any OpenAI-compatible server, with the time
// of each event. Coroutines of one io_context; nothing is shared.

#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "config/result.h"

namespace tq::bench {

using Clock = std::chrono::steady_clock;

struct Target {
  std::string host;
  std::string port;
  std::string path_prefix;  // before "/v1/...", usually empty
  std::string api_key;
};

// "http://host[:port][/prefix]"; anything else is an error.
Result<Target> parse_target(const std::string& url);

struct Trace {
  Clock::time_point start;  // when the request was due (open loop) or sent (closed loop)
  std::vector<Clock::time_point> events;  // each event that carried text
  Clock::time_point end;
  int64_t prompt_tokens = 0;  // as the server counts them
  int64_t cached_tokens = 0;
  int64_t output_tokens = 0;
  std::string
      error;  // empty where the stream ended with [DONE]; else its kind: "connect", "http 429" ...
};

// POSTs `body` (a JSON text with "stream": true) to path and reads the events. Never throws; at
// `timeout` the connection is dropped and the error is "timeout".
boost::asio::awaitable<Trace> run_stream(Target target,
                                         std::string path,
                                         std::string body,
                                         Clock::time_point start,
                                         std::chrono::milliseconds timeout);

// GET, for /v1/models; the body, or why not.
boost::asio::awaitable<Result<std::string>> get(Target target,
                                                std::string path,
                                                std::chrono::milliseconds timeout);

}  // namespace tq::bench
