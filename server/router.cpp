#include "server/router.h"

#include <array>
#include <optional>

namespace tq::server {
namespace {

struct Route {
  std::string_view path;
  bool is_post;
  Endpoint endpoint;
};

constexpr std::array kRoutes{
    Route{"/v1/chat/completions", true, Endpoint::kChatCompletions},
    Route{"/v1/completions", true, Endpoint::kCompletions},
    Route{"/v1/models", false, Endpoint::kModels},
    Route{"/tokenize", true, Endpoint::kTokenize},
    Route{"/detokenize", true, Endpoint::kDetokenize},
    Route{"/apply-template", true, Endpoint::kApplyTemplate},
    Route{"/health", false, Endpoint::kHealth},
    Route{"/ready", false, Endpoint::kReady},
    Route{"/metrics", false, Endpoint::kMetrics},
    Route{"/version", false, Endpoint::kVersion},
    Route{"/v1/embeddings", true, Endpoint::kNotBuilt},
    Route{"/v1/responses", true, Endpoint::kNotBuilt},
    Route{"/v1/messages", true, Endpoint::kNotBuilt},
};
constexpr std::string_view kModelPrefix = "/v1/models/";

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::optional<std::string> percent_decode(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    if (i + 2 >= text.size()) return std::nullopt;
    const int high = hex_digit(text[i + 1]);
    const int low = hex_digit(text[i + 2]);
    if (high < 0 || low < 0) return std::nullopt;
    out += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return out;
}

void settle(RouteMatch& match, std::string_view method, bool is_post) {
  match.allow = is_post ? "POST, OPTIONS" : "GET, HEAD, OPTIONS";
  const bool fits = is_post ? method == "POST" : method == "GET" || method == "HEAD";
  match.kind = fits ? RouteMatch::Kind::kFound : RouteMatch::Kind::kWrongMethod;
  if (method == "OPTIONS") match.kind = RouteMatch::Kind::kOptions;
}

}  // namespace

RouteMatch match_route(std::string_view method, std::string_view target) {
  RouteMatch match;
  if (target == "*" && method == "OPTIONS") {
    match.kind = RouteMatch::Kind::kOptions;
    match.allow = "GET, HEAD, POST, OPTIONS";
    return match;
  }
  const auto path = percent_decode(target.substr(0, target.find('?')));
  if (!path) return match;
  for (const Route& route : kRoutes) {
    if (*path != route.path) continue;
    match.endpoint = route.endpoint;
    settle(match, method, route.is_post);
    return match;
  }
  if (path->starts_with(kModelPrefix) && path->size() > kModelPrefix.size()) {
    match.endpoint = Endpoint::kModel;
    match.rest = path->substr(kModelPrefix.size());
    settle(match, method, false);
  }
  return match;
}

bool is_probe(Endpoint endpoint) noexcept {
  return endpoint == Endpoint::kHealth || endpoint == Endpoint::kReady ||
         endpoint == Endpoint::kMetrics;
}

}  // namespace tq::server
