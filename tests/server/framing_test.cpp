#include <catch2/catch.hpp>

#include "server/http_head.h"
#include "server/sse.h"

using namespace tq::server;

TEST_CASE("events are one data line, pings a comment with a single newline") {
  std::string out;
  append_event(out, R"({"a":1})");
  REQUIRE(out == "data: {\"a\":1}\n\n");
  REQUIRE(kSseDone == "data: [DONE]\n\n");
  REQUIRE(kSsePing == ": ping\n");
}

TEST_CASE("chunks carry their size in hexadecimal") {
  std::string out;
  append_chunk(out, std::string(26, 'x'));
  REQUIRE(out == "1a\r\n" + std::string(26, 'x') + "\r\n");
}

TEST_CASE("a head has what its body needs") {
  const std::string whole =
      make_head({.status = 200, .content_type = "application/json", .content_length = 5}, {});
  REQUIRE(whole.starts_with("HTTP/1.1 200 OK\r\n"));
  REQUIRE(whole.ends_with("\r\n\r\n"));
  REQUIRE(whole.find("Content-Length: 5\r\n") != std::string::npos);
  REQUIRE(whole.find("Connection:") == std::string::npos);
  const std::string stream = make_head({.content_type = "x", .chunked = true, .close = true}, {});
  REQUIRE(stream.find("Transfer-Encoding: chunked\r\n") != std::string::npos);
  REQUIRE(stream.find("Content-Length") == std::string::npos);
  REQUIRE(stream.find("Connection: close\r\n") != std::string::npos);
  REQUIRE(make_head({.status = 431}, {}).find("Request Header Fields Too Large") !=
          std::string::npos);
  REQUIRE(make_head({.status = 429}, {{"Retry-After", "1"}}).find("Retry-After: 1\r\n") !=
          std::string::npos);
}

TEST_CASE("origins are allowed by name or by a star, else not") {
  REQUIRE(cors_headers("http://a", {}).empty());
  REQUIRE(cors_headers("", {"*"}).empty());
  REQUIRE(cors_headers("http://a", {"*"})[0].second == "*");
  REQUIRE(cors_headers("http://a", {"http://a"})[0].second == "http://a");
  REQUIRE(cors_headers("http://b", {"http://a"}) == Headers{{"Vary", "Origin"}});
}
