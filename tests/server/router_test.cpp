#include "server/router.h"

#include <catch2/catch.hpp>

using namespace tq::server;
using Kind = RouteMatch::Kind;

TEST_CASE("paths are found, with and without a query") {
  REQUIRE(match_route("POST", "/v1/chat/completions").kind == Kind::kFound);
  REQUIRE(match_route("GET", "/health?x=1").endpoint == Endpoint::kHealth);
  REQUIRE(match_route("HEAD", "/metrics").kind == Kind::kFound);
  REQUIRE(match_route("GET", "/v1/models").endpoint == Endpoint::kModels);
}

TEST_CASE("a model's id may hold slashes and escapes") {
  REQUIRE(match_route("GET", "/v1/models/org/name").rest == "org/name");
  REQUIRE(match_route("GET", "/v1/models/org%2Fname").rest == "org/name");
  REQUIRE(match_route("GET", "/v1/models/").kind == Kind::kUnknownPath);
}

TEST_CASE("unknown paths and wrong methods are told apart") {
  for (const char* path : {"/", "", "/v1", "/v1/chat/completions/", "/v1/models/%zz", "*", "/%"}) {
    INFO(path);
    REQUIRE(match_route("GET", path).kind == Kind::kUnknownPath);
  }
  const RouteMatch wrong = match_route("GET", "/v1/chat/completions");
  REQUIRE(wrong.kind == Kind::kWrongMethod);
  REQUIRE(wrong.allow == "POST, OPTIONS");
  REQUIRE(match_route("POST", "/health").allow == "GET, HEAD, OPTIONS");
  REQUIRE(match_route("BREW", "/health").kind == Kind::kWrongMethod);
  REQUIRE(match_route("OPTIONS", "/v1/completions").kind == Kind::kOptions);
  REQUIRE(match_route("OPTIONS", "*").kind == Kind::kOptions);
}

TEST_CASE("endpoints of the API that are not built are known") {
  for (const char* path : {"/v1/embeddings", "/v1/responses", "/v1/messages"}) {
    REQUIRE(match_route("POST", path).endpoint == Endpoint::kNotBuilt);
  }
}
