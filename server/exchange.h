#pragma once
// Exchange: one request on a connection while it is answered, whole or as a stream. Knows HTTP's
// framing, so that what answers knows only bodies and events. Strand only.

#include <memory>
#include <string>
#include <string_view>

#include "server/api_error.h"
#include "server/app.h"
#include "server/connection.h"

namespace tq::server {

// What the answer's framing depends on, taken from the request's head.
struct RequestFacts {
  bool is_http_1_0 = false;
  bool wants_keep_alive = true;
  bool is_head = false;
  std::string origin;      // for CORS
  std::string request_id;  // sent back as x-request-id
};

class Exchange {
 public:
  Exchange(App& app, std::shared_ptr<Connection> connection, RequestFacts facts);

  // False from any of these: the connection is unusable.
  asio::awaitable<bool> respond(HttpResponse response);
  asio::awaitable<bool> begin_stream(std::string_view first_events);  // 200 and the first events
  asio::awaitable<bool> send(std::string_view events);
  asio::awaitable<bool> end_stream(std::string_view last_events);

  bool keeps_alive() const noexcept { return keep_alive_; }
  void close_after() noexcept { keep_alive_ = false; }  // before the head is sent
  Connection& connection() noexcept { return *connection_; }
  std::shared_ptr<Connection> shared_connection() const { return connection_; }
  int status() const noexcept { return status_; }  // that was sent; 0: none yet

 private:
  std::string head(const HttpResponse& response, bool is_stream);
  void append_body(std::string& out, std::string_view events) const;

  App& app_;
  std::shared_ptr<Connection> connection_;
  RequestFacts facts_;
  bool keep_alive_;
  int status_ = 0;
};

}  // namespace tq::server
