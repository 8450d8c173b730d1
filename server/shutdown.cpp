#include "server/shutdown.h"

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <csignal>
#include <thread>

#include "config/log.h"
#include "server/net.h"

namespace tq::server {
namespace {

// The end of a drain is a state of two threads' counters; it is looked at so often, once, at the
// end of the process's life.
constexpr std::chrono::milliseconds kLook{5};
constexpr std::chrono::milliseconds kLastWords{2'000};  // cancelled streams write their error event

bool wait_for(std::chrono::milliseconds limit, const std::function<bool()>& done) {
  const auto end = Clock::now() + limit;
  while (!done()) {
    if (Clock::now() >= end) return false;
    std::this_thread::sleep_for(kLook);
  }
  return true;
}

}  // namespace

bool shut_down(Server& server,
               engine::Engine& engine,
               const ServerConfig& config,
               const std::atomic<bool>& hurry) {
  log().info("shutting down: running requests have {} ms to finish", config.drain_ms_max);
  server.stop_accepting();
  engine.drain();
  const auto drained = [&] { return engine.idle() && server.idle(); };
  wait_for(std::chrono::milliseconds(config.drain_ms_max),
           [&] { return drained() || hurry.load(); });
  const bool all_finished = drained();
  if (!all_finished) log().warn("cancelling what has not finished");
  engine.stop();
  wait_for(kLastWords, [&] { return server.idle() || hurry.load(); });
  server.stop();
  log().info("stopped");
  return all_finished;
}

void serve_until_signal(Server& server,
                        engine::Engine& engine,
                        const ServerConfig& config,
                        const std::function<void()>& on_ready) {
  asio::io_context signals_io;
  asio::signal_set signals(signals_io, SIGTERM, SIGINT);
  std::atomic<bool> hurry{false};
  signals.async_wait([](const error_code&, int) {});
  on_ready();
  signals_io.run();  // returns with the first signal
  signals.async_wait([&hurry](const error_code& ec, int) {
    if (!ec) hurry.store(true);
  });
  signals_io.restart();
  std::thread second([&signals_io]() noexcept { signals_io.run(); });
  shut_down(server, engine, config, hurry);
  signals_io.stop();
  second.join();
}

}  // namespace tq::server
