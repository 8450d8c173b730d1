#pragma once
// Shutdown: SIGTERM and SIGINT, and the order in which things end: stop accepting, refuse with 503,
// let running requests finish for a bounded time, cancel the rest, join the engine, stop the io
// threads. Main thread.

#include <atomic>
#include <functional>

#include "config/server_config.h"
#include "engine/engine.h"
#include "server/server.h"

namespace tq::server {

// Calls on_ready() once signals are caught, blocks until the first SIGTERM or SIGINT, then shuts
// down. A second signal ends the drain at once.
void serve_until_signal(Server& server,
                        engine::Engine& engine,
                        const ServerConfig& config,
                        const std::function<void()>& on_ready);

// The same steps without signals. `hurry` set: ends the drain at once. True: every request
// finished.
bool shut_down(Server& server,
               engine::Engine& engine,
               const ServerConfig& config,
               const std::atomic<bool>& hurry);

}  // namespace tq::server
