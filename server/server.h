#pragma once
// Server: the listening socket, the io threads, and the accept loop. Made, started and stopped by
// the main thread. The port is bound at create(), long before a model is loaded, so that a port in
// use is known at once.

#include <memory>

#include "config/result.h"
#include "config/server_config.h"
#include "server/app.h"

namespace tq::server {

class Server {
 public:
  static Result<std::unique_ptr<Server>> create(const ServerConfig& config);
  ~Server();  // stop()
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  const std::string& host() const noexcept;
  uint16_t port() const noexcept;  // the one bound, also where 0 was asked for

  void start(App& app);        // app outlives the server; listens and starts the io threads
  void stop_accepting();       // closes the listening socket, sets app.draining
  bool idle() const noexcept;  // no request is being answered
  void stop();  // ends the io threads and drops every connection; the engine is stopped before

 private:
  struct Impl;
  explicit Server(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace tq::server
