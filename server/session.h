#pragma once
// Session: the life of one connection: requests one after another until either side ends it. A
// coroutine on the connection's strand; the wall where exceptions of libraries stop.

#include <memory>

#include "server/app.h"
#include "server/connection.h"

namespace tq::server {

asio::awaitable<void> run_session(App& app, std::shared_ptr<Connection> connection);

// Over the limit of connections: one 503, then the end.
asio::awaitable<void> refuse_session(App& app, std::shared_ptr<Connection> connection);

}  // namespace tq::server
