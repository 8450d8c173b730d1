#include "server/exchange.h"

#include <utility>

#include "server/http_head.h"
#include "server/sse.h"

namespace tq::server {

Exchange::Exchange(App& app, std::shared_ptr<Connection> connection, RequestFacts facts)
    : app_(app),
      connection_(std::move(connection)),
      facts_(std::move(facts)),
      keep_alive_(facts_.wants_keep_alive) {}

std::string Exchange::head(const HttpResponse& response, bool is_stream) {
  if (app_.draining.load()) keep_alive_ = false;
  if (is_stream && facts_.is_http_1_0)
    keep_alive_ = false;  // the end of the body is the end of all
  status_ = response.status;
  auto& counter = status_ < 400   ? app_.http.answers_2xx
                  : status_ < 500 ? app_.http.answers_4xx
                                  : app_.http.answers_5xx;
  counter.fetch_add(1, std::memory_order_relaxed);
  HeadOptions options{.status = response.status, .content_type = response.content_type};
  if (!is_stream && response.status != 204) options.content_length = response.body.size();
  options.chunked = is_stream && !facts_.is_http_1_0;
  options.close = !keep_alive_;
  options.old_keep_alive = facts_.is_http_1_0;
  Headers headers = cors_headers(facts_.origin, app_.config.cors_origins);
  headers.insert(headers.end(), response.headers.begin(), response.headers.end());
  if (!facts_.request_id.empty()) headers.emplace_back("x-request-id", facts_.request_id);
  return make_head(options, headers);
}

void Exchange::append_body(std::string& out, std::string_view events) const {
  if (events.empty()) return;
  if (facts_.is_http_1_0) {
    out += events;
  } else {
    append_chunk(out, events);
  }
}

asio::awaitable<bool> Exchange::respond(HttpResponse response) {
  std::string bytes = head(response, false);
  if (!facts_.is_head) bytes += response.body;
  const bool written = co_await connection_->write(std::move(bytes));
  co_return written;
}

asio::awaitable<bool> Exchange::begin_stream(std::string_view first_events) {
  HttpResponse response;
  response.content_type = kSseContentType;
  response.headers = {{"Cache-Control", "no-cache"}, {"X-Accel-Buffering", "no"}};
  std::string bytes = head(response, true);
  append_body(bytes, first_events);
  const bool written = co_await connection_->write(std::move(bytes));
  co_return written;
}

asio::awaitable<bool> Exchange::send(std::string_view events) {
  std::string bytes;
  append_body(bytes, events);
  const bool written = co_await connection_->write(std::move(bytes));
  co_return written;
}

asio::awaitable<bool> Exchange::end_stream(std::string_view last_events) {
  std::string bytes;
  append_body(bytes, last_events);
  if (!facts_.is_http_1_0) bytes += kLastChunk;
  const bool written = co_await connection_->write(std::move(bytes));
  co_return written;
}

}  // namespace tq::server
