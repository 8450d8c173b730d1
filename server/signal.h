#pragma once
// Signal: lets the coroutine of a connection sleep until someone on its strand has news, or until a
// moment has come. Strand only; other threads post to the strand first.

#include <boost/asio/any_io_executor.hpp>
#include <utility>

#include "server/net.h"

namespace tq::server {

class Signal {
 public:
  explicit Signal(const asio::any_io_executor& strand) : timer_(strand) {}

  void notify() {
    raised_ = true;
    timer_.cancel();
  }

  // One waiter at a time. Returns at once where notify() came since the last return.
  asio::awaitable<void> wait_until(Clock::time_point moment) {
    if (!raised_) {
      timer_.expires_at(moment);
      co_await timer_.async_wait(kTuple);  // cancelled: there is news; expired: the moment has come
    }
    raised_ = false;
  }

 private:
  asio::steady_timer timer_;
  bool raised_ = false;
};

}  // namespace tq::server
