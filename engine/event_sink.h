#pragma once
// EventSink: where the engine puts what a sequence produces. The engine thread calls it; an
// implementation only stores and wakes (server/token_feed.h): it never blocks, never throws, never
// calls back.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "config/ids.h"
#include "config/result.h"

namespace tq::engine {

struct TopLogprob {
  TokenId token = 0;
  float logprob = 0.0f;
  std::string bytes;
};

struct TokenLogprob {
  TokenId token = 0;
  float logprob = 0.0f;
  std::string bytes;
  std::vector<TopLogprob> top;  // descending
};

// What one or more tokens added. `text` is whole UTF-8 (bytes that are no UTF-8 become U+FFFD) and
// never holds the first half of a stop string; it may be empty while text is held back.
struct TokenDelta {
  std::string text;
  std::vector<TokenId> tokens;
  std::vector<TokenLogprob> logprobs;  // one per token, where asked for
};

enum class FinishReason : uint8_t { kStop, kLength, kCancelled, kError };

struct Usage {
  int64_t prompt_tokens = 0;
  int64_t cached_tokens = 0;  // of the prompt, served from the prefix cache
  int64_t completion_tokens = 0;
};

struct Finish {
  FinishReason reason = FinishReason::kStop;
  std::string stop_string{};            // the one that matched, else empty
  std::optional<TokenId> stop_token{};  // the one that ended it
  Usage usage{};
  std::optional<Error> error{};  // with kError
};

class EventSink {
 public:
  virtual ~EventSink() = default;
  virtual void on_delta(TokenDelta delta) noexcept = 0;
  virtual void on_finish(Finish finish) noexcept = 0;  // exactly once, last
};

}  // namespace tq::engine
