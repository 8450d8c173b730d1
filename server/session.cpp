#include "server/session.h"

#include <array>
#include <cstdio>
#include <exception>
#include <random>
#include <utility>

#include "config/log.h"
#include "server/auth.h"
#include "server/exchange.h"
#include "server/generation.h"
#include "server/health.h"
#include "server/http_head.h"
#include "server/router.h"

namespace tq::server {
namespace {

std::string_view view(beast::string_view text) { return {text.data(), text.size()}; }

// A count that goes down again however a scope is left.
class Counted {
 public:
  explicit Counted(std::atomic<int64_t>& counter) : counter_(counter) {
    counter_.fetch_add(1, std::memory_order_relaxed);
  }
  ~Counted() { counter_.fetch_sub(1, std::memory_order_relaxed); }
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;

 private:
  std::atomic<int64_t>& counter_;
};

// The client's own, where it is short and plain; else a new one.
std::string request_id(std::string_view given) {
  constexpr size_t kBytesMax = 128;
  bool plain = !given.empty() && given.size() <= kBytesMax;
  for (const char c : given) plain = plain && c > ' ' && c < 0x7f;
  if (plain) return std::string(given);
  thread_local std::mt19937_64 generator{std::random_device{}()};
  std::array<char, 24> text{};
  std::snprintf(text.data(), text.size(), "req_%016llx",
                static_cast<unsigned long long>(generator()));
  return text.data();
}

RequestFacts facts_of(const Request& request, bool keep_alive) {
  RequestFacts facts;
  facts.is_http_1_0 = request.version() < 11;
  facts.wants_keep_alive = keep_alive;
  facts.is_head = request.method() == http::verb::head;
  facts.origin = std::string(view(request[http::field::origin]));
  facts.request_id = request_id(view(request["X-Request-Id"]));
  return facts;
}

HttpResponse read_failure(Connection::Read read, std::string_view reason) {
  if (read == Connection::Read::kHeaderTooLong) {
    return error_response(431, "the request's header is too large");
  }
  if (read == Connection::Read::kBodyTooLong) {
    return error_response(Error{Code::kTooLarge, "the request's body is too large", ""});
  }
  return error_response(400, "malformed HTTP request: " + std::string(reason));
}

HttpResponse preflight(const App& app, const RouteMatch& route, const RequestFacts& facts) {
  HttpResponse response;
  response.status = 204;
  response.content_type.clear();
  response.headers.emplace_back("Allow", route.allow);
  if (!cors_headers(facts.origin, app.config.cors_origins).empty()) {
    response.headers.emplace_back("Access-Control-Allow-Methods", route.allow);
    response.headers.emplace_back("Access-Control-Allow-Headers",
                                  "authorization, content-type, x-api-key, x-request-id");
    response.headers.emplace_back("Access-Control-Max-Age", "86400");
  }
  return response;
}

bool is_json(std::string_view content_type) {
  std::string type(content_type.substr(0, content_type.find(';')));
  for (char& c : type) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  while (type.ends_with(' ')) type.pop_back();
  return type.empty() || type == "application/json";
}

bool is_generation(Endpoint endpoint) {
  return endpoint == Endpoint::kChatCompletions || endpoint == Endpoint::kCompletions;
}

// What can be said from the head alone, before a body is read: an answer, or nothing.
std::optional<HttpResponse> answer_to_head(const App& app,
                                           const Request& request,
                                           const RouteMatch& route) {
  if (request.version() >= 11 && request.count(http::field::host) != 1) {
    return error_response(400, "the request must have one Host header");
  }
  const std::string_view path = view(request.target());
  if (route.kind == RouteMatch::Kind::kUnknownPath) {
    return error_response(404, "there is no " + std::string(path.substr(0, path.find('?'))));
  }
  if (route.kind == RouteMatch::Kind::kWrongMethod) {
    HttpResponse response = error_response(405, "that method is not allowed here");
    response.headers.emplace_back("Allow", route.allow);
    return response;
  }
  if (route.kind == RouteMatch::Kind::kOptions) return std::nullopt;
  const bool open = is_probe(route.endpoint) && !app.config.protect_health;
  if (!open && !is_authorized(view(request[http::field::authorization]), view(request["X-Api-Key"]),
                              app.config.api_keys)) {
    return error_response(Error{Code::kUnauthorized, "a valid API key is needed", ""});
  }
  if (is_generation(route.endpoint) && app.draining.load()) {
    return error_response(Error{Code::kUnavailable, "the server is shutting down", ""});
  }
  if (request.method() == http::verb::post && !is_json(view(request[http::field::content_type]))) {
    return error_response(415, "the Content-Type must be application/json");
  }
  const auto expect = request.find(http::field::expect);
  if (expect != request.end() && !beast::iequals(expect->value(), "100-continue")) {
    return error_response(417, "only Expect: 100-continue is understood");
  }
  return std::nullopt;
}

// One request and its answer. False: the connection has had its last.
asio::awaitable<bool> serve_one(App& app, std::shared_ptr<Connection> connection, bool is_first) {
  Parser parser;
  Connection::Read read = co_await connection->read_header(parser, is_first);
  if (read == Connection::Read::kClosed) co_return false;
  const Counted active(app.http.requests_active);
  // Of a head that is not whole nothing but its end can be relied on.
  const bool keep_alive = read == Connection::Read::kDone && parser.keep_alive();
  Exchange exchange(app, connection, facts_of(parser.get(), keep_alive));
  std::optional<HttpResponse> answer;
  RouteMatch route;
  if (read == Connection::Read::kDone) {
    const Request& head = parser.get();
    route = match_route(view(head.method_string()), view(head.target()));
    answer = answer_to_head(app, head, route);
  }
  if (read == Connection::Read::kDone && !answer && !parser.is_done()) {
    if (parser.get().count(http::field::expect) > 0) {
      std::string go_on(kContinue);
      const bool written = co_await connection->write(std::move(go_on));
      if (!written) co_return false;
    }
    read = co_await connection->read_body(parser);
    if (read == Connection::Read::kClosed) co_return false;
  }
  if (read != Connection::Read::kDone) {
    answer = read_failure(read, connection->malformed_reason());
  }
  if (answer && !parser.is_done()) exchange.close_after();  // what follows is no request
  bool usable = false;
  if (!answer && route.kind == RouteMatch::Kind::kFound && is_generation(route.endpoint)) {
    const ApiKind kind =
        route.endpoint == Endpoint::kChatCompletions ? ApiKind::kChat : ApiKind::kCompletion;
    std::string body = std::move(parser.get().body());
    usable = co_await answer_generation(app, exchange, kind, std::move(body));
  } else {
    if (!answer && route.kind == RouteMatch::Kind::kOptions) {
      answer = preflight(app, route, facts_of(parser.get(), true));
    }
    if (!answer) answer = answer_at_once(app, route, parser.get().body());
    HttpResponse response = std::move(*answer);
    usable = co_await exchange.respond(std::move(response));
  }
  log().debug("{} {} -> {}", view(parser.get().method_string()), static_cast<int>(route.endpoint),
              exchange.status());
  if (usable && !exchange.keeps_alive()) co_await connection->close_gently();
  co_return usable&& exchange.keeps_alive();
}

}  // namespace

asio::awaitable<void> run_session(App& app, std::shared_ptr<Connection> connection) {
  try {
    bool going = true;
    for (bool is_first = true; going; is_first = false) {
      going = co_await serve_one(app, connection, is_first);
    }
  } catch (const std::exception& e) {
    log().error("a connection failed: {}", e.what());
  }
  connection->close_now();
}

asio::awaitable<void> refuse_session(App& app, std::shared_ptr<Connection> connection) {
  app.http.connections_refused.fetch_add(1, std::memory_order_relaxed);
  try {
    RequestFacts facts;
    facts.wants_keep_alive = false;
    Exchange exchange(app, connection, std::move(facts));
    HttpResponse refusal =
        error_response(Error{Code::kUnavailable, "the server has too many open connections", ""});
    const bool written = co_await exchange.respond(std::move(refusal));
    if (written) co_await connection->close_gently();
  } catch (const std::exception& e) {
    log().error("a connection failed: {}", e.what());
  }
  connection->close_now();
}

}  // namespace tq::server
