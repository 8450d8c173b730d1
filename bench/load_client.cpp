#include "bench/load_client.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/buffer_body.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

namespace tq::bench {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using boost::system::error_code;

constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);
constexpr size_t kEventBytesMax = 4 << 20;

std::string kind_of(const char* stage, error_code error) {
  if (error == beast::error::timeout) return "timeout";
  return std::string(stage) + ": " + error.message();
}

asio::awaitable<std::string> connect(beast::tcp_stream& stream, const Target& target) {
  asio::ip::tcp::resolver resolver(co_await asio::this_coro::executor);
  const auto [resolve_error, endpoints] =
      co_await resolver.async_resolve(target.host, target.port, kTuple);
  if (resolve_error) co_return kind_of("connect", resolve_error);
  const auto [connect_error, endpoint] = co_await stream.async_connect(endpoints, kTuple);
  if (connect_error) co_return kind_of("connect", connect_error);
  error_code ignored;  // a socket that refuses the option is only slower
  stream.socket().set_option(asio::ip::tcp::no_delay(true), ignored);
  co_return "";
}

template <class Request>
void set_headers(Request& request, const Target& target) {
  request.set(http::field::host, target.host + ":" + target.port);
  request.set(http::field::user_agent, "turboquant-bench");
  request.set(http::field::connection, "close");
  if (!target.api_key.empty()) {
    request.set(http::field::authorization, "Bearer " + target.api_key);
  }
}

// Takes whole "data: ..." lines out of a stream of bytes.
class EventReader {
 public:
  explicit EventReader(Trace& trace) : trace_(&trace) {}

  bool done() const noexcept { return done_; }

  // False where an event is no JSON, or an error, or too large.
  bool feed(std::string_view bytes) {
    pending_.append(bytes);
    size_t begin = 0;
    for (size_t end = pending_.find('\n'); end != std::string::npos;
         end = pending_.find('\n', begin)) {
      std::string_view line(pending_.data() + begin, end - begin);
      if (line.ends_with('\r')) line.remove_suffix(1);
      begin = end + 1;
      if (!take_line(line)) return false;
    }
    pending_.erase(0, begin);
    if (pending_.size() > kEventBytesMax) trace_->error = "event over 4 MiB";
    return trace_->error.empty();
  }

 private:
  bool take_line(std::string_view line) {
    constexpr std::string_view kData = "data:";
    if (!line.starts_with(kData)) return true;  // comments and blank lines
    line.remove_prefix(kData.size());
    while (line.starts_with(' ')) line.remove_prefix(1);
    if (line == "[DONE]") {
      done_ = true;
      return true;
    }
    const auto event = nlohmann::json::parse(line, nullptr, false);
    if (!event.is_object()) {
      trace_->error = "event is no JSON object";
    } else if (event.contains("error")) {
      trace_->error = "error event";
    } else {
      take_event(event);
    }
    return trace_->error.empty();
  }

  void take_event(const nlohmann::json& event) {
    const auto choices = event.find("choices");
    if (choices != event.end() && choices->is_array() && !choices->empty()) {
      const auto& choice = choices->front();
      const auto delta = choice.value("delta", nlohmann::json::object());
      const auto& holder = choice.contains("text") ? choice : delta;
      const auto text = holder.find(choice.contains("text") ? "text" : "content");
      if (text != holder.end() && text->is_string() &&
          !text->get_ref<const std::string&>().empty()) {
        trace_->events.push_back(Clock::now());
      }
    }
    const auto usage = event.find("usage");
    if (usage == event.end() || !usage->is_object()) return;
    trace_->prompt_tokens = usage->value("prompt_tokens", int64_t{0});
    trace_->output_tokens = usage->value("completion_tokens", int64_t{0});
    const auto details = usage->find("prompt_tokens_details");
    if (details != usage->end() && details->is_object()) {
      trace_->cached_tokens = details->value("cached_tokens", int64_t{0});
    }
  }

  Trace* trace_;
  std::string pending_;
  bool done_ = false;
};

asio::awaitable<void> read_events(beast::tcp_stream& stream, Trace& trace) {
  beast::flat_buffer buffer;
  http::response_parser<http::buffer_body> parser;
  parser.body_limit(boost::none);
  const auto [header_error, header_bytes] =
      co_await http::async_read_header(stream, buffer, parser, kTuple);
  if (header_error) {
    trace.error = kind_of("header", header_error);
    co_return;
  }
  if (parser.get().result() != http::status::ok) {
    trace.error = "http " + std::to_string(parser.get().result_int());
    co_return;
  }
  EventReader events(trace);
  char chunk[16384];
  while (!parser.is_done() && !events.done()) {
    parser.get().body().data = chunk;
    parser.get().body().size = sizeof(chunk);
    auto [error, bytes] = co_await http::async_read_some(stream, buffer, parser, kTuple);
    if (error == http::error::need_buffer) error = {};
    if (!events.feed({chunk, sizeof(chunk) - parser.get().body().size})) co_return;
    if (error) {
      trace.error = kind_of("stream", error);
      co_return;
    }
  }
  if (!events.done()) trace.error = "stream ended without [DONE]";
}

}  // namespace

Result<Target> parse_target(const std::string& url) {
  constexpr std::string_view kScheme = "http://";
  if (!url.starts_with(kScheme)) {
    return Error{Code::kInvalidArgument, "'" + url + "' does not start with http://", "--url"};
  }
  std::string rest = url.substr(kScheme.size());
  Target target;
  if (const size_t slash = rest.find('/'); slash != std::string::npos) {
    target.path_prefix = rest.substr(slash);
    rest.resize(slash);
    while (target.path_prefix.ends_with('/')) target.path_prefix.pop_back();
  }
  const size_t colon = rest.rfind(':');
  target.host = rest.substr(0, colon);
  target.port = colon == std::string::npos ? "80" : rest.substr(colon + 1);
  const bool digits = target.port.find_first_not_of("0123456789") == std::string::npos;
  if (target.host.empty() || target.port.empty() || !digits) {
    return Error{Code::kInvalidArgument, "'" + url + "' is not http://host[:port][/prefix]",
                 "--url"};
  }
  return target;
}

asio::awaitable<Trace> run_stream(Target target,
                                  std::string path,
                                  std::string body,
                                  Clock::time_point start,
                                  std::chrono::milliseconds timeout) {
  Trace trace;
  trace.start = start;
  beast::tcp_stream stream(co_await asio::this_coro::executor);
  stream.expires_after(timeout);  // one deadline for the whole request
  trace.error = co_await connect(stream, target);
  if (trace.error.empty()) {
    http::request<http::string_body> request{http::verb::post, target.path_prefix + path, 11};
    set_headers(request, target);
    request.set(http::field::content_type, "application/json");
    request.body() = std::move(body);
    request.prepare_payload();
    const auto [error, bytes] = co_await http::async_write(stream, request, kTuple);
    if (error) trace.error = kind_of("write", error);
  }
  if (trace.error.empty()) co_await read_events(stream, trace);
  trace.end = Clock::now();
  co_return trace;
}

asio::awaitable<Result<std::string>> get(Target target,
                                         std::string path,
                                         std::chrono::milliseconds timeout) {
  beast::tcp_stream stream(co_await asio::this_coro::executor);
  stream.expires_after(timeout);
  const auto failed = [&](std::string text) {
    return Error{Code::kIo, "GET " + path + ": " + std::move(text), "--url"};
  };
  if (std::string error = co_await connect(stream, target); !error.empty()) {
    co_return failed(std::move(error));
  }
  http::request<http::empty_body> request{http::verb::get, target.path_prefix + path, 11};
  set_headers(request, target);
  if (const auto [error, bytes] = co_await http::async_write(stream, request, kTuple); error) {
    co_return failed(kind_of("write", error));
  }
  beast::flat_buffer buffer;
  http::response<http::string_body> response;
  if (const auto [error, bytes] = co_await http::async_read(stream, buffer, response, kTuple);
      error) {
    co_return failed(kind_of("read", error));
  }
  if (response.result() != http::status::ok) {
    co_return failed("status " + std::to_string(response.result_int()));
  }
  co_return std::move(response.body());
}

}  // namespace tq::bench
