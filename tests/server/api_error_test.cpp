#include "server/api_error.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "config/limits.h"

using namespace tq;
using namespace tq::server;

namespace {

std::string header(const HttpResponse& response, const std::string& name) {
  for (const auto& [key, value] : response.headers) {
    if (key == name) return value;
  }
  return "";
}

struct Expected {
  Code code;
  int status;
  const char* type;
};

}  // namespace

TEST_CASE("each code has the status and type of the contract") {
  const Expected expected[] = {
      {Code::kInvalidArgument, 400, "invalid_request_error"},
      {Code::kContextLength, 400, "invalid_request_error"},
      {Code::kUnauthorized, 401, "authentication_error"},
      {Code::kForbidden, 403, "permission_error"},
      {Code::kNotFound, 404, "not_found_error"},
      {Code::kDeadline, 408, "timeout_error"},
      {Code::kTooLarge, 413, "invalid_request_error"},
      {Code::kOverloaded, 429, "rate_limit_error"},
      {Code::kInternal, 500, "server_error"},
      {Code::kUnsupported, 501, "not_supported_error"},
      {Code::kUnavailable, 503, "unavailable_error"},
  };
  for (const Expected& e : expected) {
    const HttpResponse response = error_response(Error{e.code, "why", "messages.2.content"});
    INFO(response.body);
    REQUIRE(response.status == e.status);
    const auto body = nlohmann::json::parse(response.body);
    REQUIRE(body["error"]["type"] == e.type);
    REQUIRE(body["error"]["message"] == "why");
    REQUIRE(body["error"]["param"] == "messages.2.content");
    REQUIRE(body["error"].contains("code"));
  }
}

TEST_CASE("the golden bodies") {
  REQUIRE(error_json(Error{Code::kContextLength, "too long", "messages"}) ==
          R"({"error":{"message":"too long","type":"invalid_request_error","param":"messages",)"
          R"("code":"context_length_exceeded"}})");
  REQUIRE(error_json(Error{Code::kInvalidArgument, "bad", ""}) ==
          R"({"error":{"message":"bad","type":"invalid_request_error","param":null,"code":null}})");
  REQUIRE(error_json(Error{Code::kNotFound, "no", "model"}) ==
          R"({"error":{"message":"no","type":"not_found_error","param":"model",)"
          R"("code":"model_not_found"}})");
}

TEST_CASE("what may be tried again says when, what may not says so") {
  const HttpResponse full = error_response(Error{Code::kOverloaded, "full", ""});
  REQUIRE(header(full, "Retry-After") == "1");
  REQUIRE(header(full, "retry-after-ms") == "1000");
  REQUIRE(header(full, "x-should-retry") == "true");
  const HttpResponse draining = error_response(Error{Code::kUnavailable, "drain", ""});
  REQUIRE(header(draining, "Retry-After") == "5");
  REQUIRE(header(error_response(Error{Code::kUnsupported, "no", ""}), "x-should-retry") == "false");
  REQUIRE(header(error_response(Error{Code::kInvalidArgument, "no", ""}), "Retry-After").empty());
}

TEST_CASE("messages are bounded and valid UTF-8, whatever they quote") {
  const std::string huge(4 << 20, 'x');
  REQUIRE(sanitize(huge).size() <= limits::kErrorMessageBytesMax);
  REQUIRE(sanitize("a\nb\tc\x01") == "a b c ");
  REQUIRE(sanitize("caf\xc3\xa9 \xf0\x9f\x98\x80") == "caf\xc3\xa9 \xf0\x9f\x98\x80");
  for (const std::string bad :
       {"\xff", "\xc3", "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x82", "\x80"}) {
    const std::string clean = sanitize("<" + bad + ">");
    INFO(clean);
    REQUIRE(clean.find("\xef\xbf\xbd") != std::string::npos);
    // nlohmann's strict dump throws on invalid UTF-8.
    REQUIRE_NOTHROW(nlohmann::json(clean).dump());
  }
  // A multi-byte character is never cut at the bound.
  std::string wide;
  for (int i = 0; i < 2000; ++i) wide += "\xe2\x82\xac";
  REQUIRE_NOTHROW(nlohmann::json(sanitize(wide)).dump());
}
