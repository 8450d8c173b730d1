#pragma once
// Method and path -> endpoint, or the reason why not. One table; pure; any thread.

#include <string>
#include <string_view>

namespace tq::server {

enum class Endpoint {
  kChatCompletions,
  kCompletions,
  kModels,
  kModel,  // one, by id; RouteMatch::rest
  kTokenize,
  kDetokenize,
  kApplyTemplate,
  kHealth,
  kReady,
  kMetrics,
  kVersion,
  kNotBuilt,  // an endpoint of the API that this server does not offer: 501
};

struct RouteMatch {
  enum class Kind { kFound, kUnknownPath, kWrongMethod, kOptions };
  Kind kind = Kind::kUnknownPath;
  Endpoint endpoint = Endpoint::kHealth;
  std::string rest;   // decoded remainder of the path, for kModel
  std::string allow;  // "GET, HEAD, OPTIONS", where the path is known
};

// target: as in the request line, with or without a query (which is dropped).
RouteMatch match_route(std::string_view method, std::string_view target);

// True for /health, /ready and /metrics, which have their own switch for keys.
bool is_probe(Endpoint endpoint) noexcept;

}  // namespace tq::server
