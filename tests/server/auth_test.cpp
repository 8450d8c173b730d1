#include "server/auth.h"

#include <catch2/catch.hpp>

using namespace tq::server;

TEST_CASE("comparison is exact, for any pair of lengths") {
  REQUIRE(constant_time_equal("secret", "secret"));
  REQUIRE(constant_time_equal("", ""));
  for (const char* wrong : {"", "s", "secre", "secreT", "secrets", "secretsecret", "Secret"}) {
    INFO(wrong);
    REQUIRE_FALSE(constant_time_equal(wrong, "secret"));
  }
  REQUIRE_FALSE(constant_time_equal("x", ""));
}

TEST_CASE("a key is taken from either header") {
  const std::vector<std::string> keys{"one", "two"};
  REQUIRE(is_authorized("Bearer one", "", keys));
  REQUIRE(is_authorized("bearer  two", "", keys));
  REQUIRE(is_authorized("", "two", keys));
  REQUIRE(is_authorized("Basic abc", "one", keys));
  for (const char* wrong : {"", "one", "Bearer", "Bearer ", "Bearer three", "Basic one"}) {
    INFO(wrong);
    REQUIRE_FALSE(is_authorized(wrong, "", keys));
  }
  REQUIRE(is_authorized("", "", {}));
}
