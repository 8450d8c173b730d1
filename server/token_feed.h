#pragma once
// TokenFeed: what the engine puts and a connection takes, for all choices of one request. The
// engine thread calls the sinks: a mutex around a small vector, and a post to the strand. What
// arrives before the connection takes it is joined, so a slow reader costs bounded memory. Shared
// by the connection and the sinks; every method but sink()'s events is for the strand.

#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "engine/event_sink.h"
#include "server/signal.h"

namespace tq::server {

class TokenFeed : public std::enable_shared_from_this<TokenFeed> {
 public:
  struct Event {
    int choice = 0;
    engine::TokenDelta delta;  // all that came since the last take()
    std::optional<engine::Finish> finish;
  };

  // bytes_max: of everything not yet taken. What comes after is dropped, and overflowed() says so.
  TokenFeed(const asio::any_io_executor& strand, int n_choices, size_t bytes_max);

  std::shared_ptr<engine::EventSink> sink(int choice);

  std::vector<Event> take();  // in order of first arrival, one per choice
  bool overflowed() const;

  // Called on the strand when the feed overflows, since the connection itself may be stuck in a
  // write. Unset it before what it captures dies.
  void on_overflow(std::function<void()> handler) { overflow_handler_ = std::move(handler); }

  Signal& signal() noexcept { return signal_; }

 private:
  class ChoiceSink;

  void put(int choice, engine::TokenDelta delta, std::optional<engine::Finish> finish);
  void wake();

  const asio::any_io_executor strand_;
  const int n_choices_;
  const size_t bytes_max_;
  Signal signal_;
  std::function<void()> overflow_handler_;

  mutable std::mutex mutex_;  // of all that follows; held for a push or a swap
  std::vector<Event> pending_;
  size_t pending_bytes_ = 0;
  bool wake_posted_ = false;
  bool overflowed_ = false;
};

}  // namespace tq::server
