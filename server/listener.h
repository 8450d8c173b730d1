#pragma once
// Listener: accepts connections and starts a session for each, up to the limit; a few more get a
// 503, and the rest wait in the kernel's queue. Coroutine on the listener's own strand.

#include "server/app.h"
#include "server/net.h"

namespace tq::server {

// Ends when the acceptor is closed. acceptor and app outlive it.
asio::awaitable<void> accept_loop(App& app, tcp::acceptor& acceptor, asio::io_context& io);

}  // namespace tq::server
