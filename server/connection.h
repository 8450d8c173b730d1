#pragma once
// Connection: one accepted socket: reads requests, writes answers, watches for the client's end.
// Every read and every write has its own deadline; passing it closes the socket. Strand only.

#include <atomic>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "config/server_config.h"
#include "server/api_error.h"
#include "server/net.h"

namespace tq::server {

namespace beast = boost::beast;
namespace http = beast::http;

using Parser = http::request_parser<http::string_body>;
using Request = http::request<http::string_body>;

class TokenFeed;

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  // Counts itself in n_open as long as it lives; both outlive it.
  Connection(tcp::socket socket, const ServerConfig& config, std::atomic<int64_t>& n_open);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  enum class Read {
    kDone,
    kClosed,         // the peer is gone, or was too slow
    kHeaderTooLong,  // 431
    kBodyTooLong,    // 413
    kMalformed,      // 400
  };

  // First bytes (idle limit, unless this is the first request), then the whole header.
  asio::awaitable<Read> read_header(Parser& parser, bool is_first);
  asio::awaitable<Read> read_body(Parser& parser);
  std::string_view malformed_reason() const noexcept { return malformed_reason_; }

  // False: not all could be written; the socket is unusable.
  asio::awaitable<bool> write(std::string bytes);

  // Sends what is written, then reads and drops what the client still sends, for a bounded time:
  // closing with unread bytes would reset the connection and take the answer with it.
  asio::awaitable<void> close_gently();
  void close_now() noexcept;

  // From now on reads ahead, at most a bound, so that the client's end is noticed while nothing
  // else is read; the feed's signal tells. What arrives belongs to the next request and stays in
  // the buffer.
  void start_watch(std::shared_ptr<TokenFeed> feed);
  bool client_gone() const noexcept { return gone_; }
  // Ends the watch and waits for it. Nothing else may be read in between.
  asio::awaitable<void> stop_watch(std::shared_ptr<TokenFeed> feed);

  asio::any_io_executor strand() { return stream_.get_executor(); }

 private:
  static asio::awaitable<void> watch(std::shared_ptr<Connection> self,
                                     std::shared_ptr<TokenFeed> feed);
  Read failure(const error_code& ec);
  void set_deadline(int ms);

  const ServerConfig& config_;
  std::atomic<int64_t>& n_open_;
  beast::tcp_stream stream_;
  beast::flat_buffer buffer_;
  std::string malformed_reason_;
  bool gone_ = false;
  bool watching_ = false;
  bool stop_watching_ = false;
};

}  // namespace tq::server
