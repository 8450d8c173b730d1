#include "server/server.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "config/log.h"
#include "server/listener.h"

namespace tq::server {

struct Server::Impl {
  explicit Impl(const ServerConfig& server_config)
      : config(server_config), acceptor(asio::make_strand(*io)), guard(io->get_executor()) {}

  const ServerConfig& config;
  App* app = nullptr;
  uint16_t port = 0;
  // Gone after stop(): with it the frames of all connections, which name the app and the engine.
  std::unique_ptr<asio::io_context> io = std::make_unique<asio::io_context>();
  std::optional<tcp::acceptor> acceptor;  // on its own strand
  asio::executor_work_guard<asio::io_context::executor_type> guard;
  std::vector<std::thread> threads;
};

namespace {

Error socket_error(const ServerConfig& config, const char* what, const error_code& ec) {
  return Error{Code::kIo, std::string("cannot ") + what + ": " + ec.message(),
               config.host + ":" + std::to_string(config.port)};
}

Result<tcp::endpoint> resolve(asio::io_context& io, const ServerConfig& config) {
  error_code ec;
  const auto address = asio::ip::make_address(config.host, ec);
  if (!ec) return tcp::endpoint(address, config.port);
  tcp::resolver resolver(io);
  const auto found =
      resolver.resolve(config.host, std::to_string(config.port), tcp::resolver::passive, ec);
  if (ec || found.empty()) return socket_error(config, "resolve --host", ec);
  return found.begin()->endpoint();
}

}  // namespace

Server::Server(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Server::~Server() { stop(); }

Result<std::unique_ptr<Server>> Server::create(const ServerConfig& config) {
  auto impl = std::make_unique<Impl>(config);
  TQ_ASSIGN(const tcp::endpoint endpoint, resolve(*impl->io, config));
  error_code ec;
  impl->acceptor->open(endpoint.protocol(), ec);
  if (ec) return socket_error(config, "open a socket", ec);
  impl->acceptor->set_option(asio::socket_base::reuse_address(true), ec);
  if (ec) return socket_error(config, "prepare a socket", ec);
  impl->acceptor->bind(endpoint, ec);
  if (ec) return socket_error(config, "bind", ec);
  impl->port = impl->acceptor->local_endpoint(ec).port();
  if (ec) return socket_error(config, "bind", ec);
  return std::unique_ptr<Server>(new Server(std::move(impl)));
}

const std::string& Server::host() const noexcept { return impl_->config.host; }

uint16_t Server::port() const noexcept { return impl_->port; }

void Server::start(App& app) {
  TQ_CHECK(impl_->app == nullptr, "a server is started once");
  impl_->app = &app;
  error_code ec;
  impl_->acceptor->listen(asio::socket_base::max_listen_connections, ec);
  TQ_CHECK(!ec, "cannot listen on a bound socket", ec.message());
  asio::co_spawn(impl_->acceptor->get_executor(), accept_loop(app, *impl_->acceptor, *impl_->io),
                 asio::detached);
  for (int i = 0; i < impl_->config.io_threads; ++i) {
    impl_->threads.emplace_back([io = impl_->io.get()]() noexcept { io->run(); });
  }
}

void Server::stop_accepting() {
  if (impl_->app == nullptr || !impl_->io) return;
  impl_->app->draining.store(true);
  asio::post(impl_->acceptor->get_executor(), [impl = impl_.get()] {
    error_code ec;
    impl->acceptor->close(ec);
    if (ec) log().warn("cannot close the listening socket: {}", ec.message());
  });
}

bool Server::idle() const noexcept {
  return impl_->app == nullptr || impl_->app->http.requests_active.load() == 0;
}

void Server::stop() {
  if (!impl_->io) return;
  impl_->guard.reset();
  impl_->io->stop();
  for (std::thread& thread : impl_->threads) thread.join();
  impl_->threads.clear();
  impl_->acceptor.reset();
  impl_->io.reset();
}

}  // namespace tq::server
