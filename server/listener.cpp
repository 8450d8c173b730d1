#include "server/listener.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/strand.hpp>
#include <memory>
#include <utility>

#include "config/log.h"
#include "server/connection.h"
#include "server/session.h"

namespace tq::server {
namespace {

constexpr int kRefusalsMax = 64;  // connections over the limit that are told so at the same time
constexpr std::chrono::milliseconds kAcceptRetry{100};  // the process is out of descriptors

}  // namespace

asio::awaitable<void> accept_loop(App& app, tcp::acceptor& acceptor, asio::io_context& io) {
  asio::steady_timer pause(acceptor.get_executor());
  while (acceptor.is_open()) {
    const asio::any_io_executor strand = asio::make_strand(io);
    auto [ec, socket] = co_await acceptor.async_accept(strand, kTuple);
    if (!acceptor.is_open()) co_return;
    if (ec) {
      log().warn("cannot accept a connection: {}", ec.message());
      pause.expires_after(kAcceptRetry);
      co_await pause.async_wait(kTuple);
      continue;
    }
    const int64_t n_open = app.http.connections.load(std::memory_order_relaxed);
    if (n_open >= app.config.connections_max + kRefusalsMax) continue;  // closes the socket
    auto connection =
        std::make_shared<Connection>(std::move(socket), app.config, app.http.connections);
    if (n_open >= app.config.connections_max) {
      asio::co_spawn(strand, refuse_session(app, std::move(connection)), asio::detached);
    } else {
      asio::co_spawn(strand, run_session(app, std::move(connection)), asio::detached);
    }
  }
}

}  // namespace tq::server
