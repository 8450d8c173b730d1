#include "server/connection.h"

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/http/read.hpp>
#include <utility>

#include "config/limits.h"
#include "server/token_feed.h"

namespace tq::server {
namespace {

constexpr size_t kReadAheadBytesMax = 64 * 1024;  // of pipelined requests, while one is answered
constexpr int kLingerMs = 2'000;
constexpr size_t kLingerBytesMax = 64ull << 20;

}  // namespace

Connection::Connection(tcp::socket socket, const ServerConfig& config, std::atomic<int64_t>& n_open)
    : config_(config), n_open_(n_open), stream_(std::move(socket)) {
  n_open_.fetch_add(1, std::memory_order_relaxed);
  error_code ignored;  // a socket that is gone already fails at its first read
  stream_.socket().set_option(tcp::no_delay(true), ignored);
}

Connection::~Connection() { n_open_.fetch_sub(1, std::memory_order_relaxed); }

void Connection::set_deadline(int ms) { stream_.expires_after(std::chrono::milliseconds(ms)); }

Connection::Read Connection::failure(const error_code& ec) {
  if (ec == http::error::header_limit || ec == http::error::buffer_overflow) {
    return Read::kHeaderTooLong;
  }
  if (ec == http::error::body_limit) return Read::kBodyTooLong;
  if (ec.category() == make_error_code(http::error::bad_method).category() &&
      ec != http::error::end_of_stream && ec != http::error::partial_message) {
    malformed_reason_ = ec.message();
    return Read::kMalformed;
  }
  return Read::kClosed;
}

asio::awaitable<Connection::Read> Connection::read_header(Parser& parser, bool is_first) {
  if (!is_first && buffer_.size() == 0) {
    set_deadline(config_.idle_ms_max);
    const auto space = buffer_.prepare(4096);
    const auto [ec, n] = co_await stream_.async_read_some(space, kTuple);
    if (ec) co_return Read::kClosed;
    buffer_.commit(n);
  }
  parser.header_limit(static_cast<uint32_t>(limits::kHeaderBytesMax));
  parser.body_limit(config_.body_bytes_max);
  set_deadline(config_.header_ms_max);
  const auto [ec, n] = co_await http::async_read_header(stream_, buffer_, parser, kTuple);
  co_return ec ? failure(ec) : Read::kDone;
}

asio::awaitable<Connection::Read> Connection::read_body(Parser& parser) {
  if (parser.is_done()) co_return Read::kDone;
  set_deadline(config_.body_ms_max);
  const auto [ec, n] = co_await http::async_read(stream_, buffer_, parser, kTuple);
  co_return ec ? failure(ec) : Read::kDone;
}

asio::awaitable<bool> Connection::write(std::string bytes) {
  set_deadline(config_.write_ms_max);
  const auto buffer = asio::buffer(bytes);
  const auto [ec, n] = co_await asio::async_write(stream_, buffer, kTuple);
  co_return !ec;
}

asio::awaitable<void> Connection::close_gently() {
  error_code ec;
  stream_.socket().shutdown(tcp::socket::shutdown_send, ec);
  set_deadline(std::min(kLingerMs, config_.idle_ms_max));
  buffer_.clear();
  size_t dropped = 0;
  while (!ec && dropped < kLingerBytesMax) {
    const auto space = buffer_.prepare(16 * 1024);
    const auto [read_ec, n] = co_await stream_.async_read_some(space, kTuple);
    ec = read_ec;
    dropped += n;
  }
  close_now();
}

void Connection::close_now() noexcept { stream_.close(); }

void Connection::start_watch(std::shared_ptr<TokenFeed> feed) {
  watching_ = true;
  asio::co_spawn(strand(), watch(shared_from_this(), std::move(feed)), asio::detached);
}

asio::awaitable<void> Connection::watch(std::shared_ptr<Connection> self,
                                        std::shared_ptr<TokenFeed> feed) {
  while (!self->stop_watching_ && self->buffer_.size() < kReadAheadBytesMax) {
    // A write sets a deadline for both directions while no read is pending; this read has none.
    self->stream_.expires_never();
    const auto space = self->buffer_.prepare(4096);
    const auto [ec, n] = co_await self->stream_.async_read_some(space, kTuple);
    self->buffer_.commit(n);
    if (!ec) continue;
    if (!self->stop_watching_) self->gone_ = true;
    break;
  }
  self->watching_ = false;
  feed->signal().notify();
}

asio::awaitable<void> Connection::stop_watch(std::shared_ptr<TokenFeed> feed) {
  stop_watching_ = true;
  if (watching_) stream_.cancel();
  while (watching_) co_await feed->signal().wait_until(Clock::time_point::max());
  stop_watching_ = false;
}

}  // namespace tq::server
