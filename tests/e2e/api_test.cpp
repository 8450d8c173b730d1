// Endpoints, keys, methods, kept and pipelined connections.

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "tests/e2e/client.h"
#include "tests/e2e/house.h"

using namespace tq;
using namespace tq::test;
using Json = nlohmann::json;

namespace {

Json call_json(House& house, const char* method, const char* target, const std::string& body = "") {
  const Answer answer = http_call(house.port(), method, target, body);
  INFO(target << " -> " << answer.status << " " << answer.body);
  REQUIRE(answer.status == 200);
  return Json::parse(answer.body);
}

}  // namespace

TEST_CASE("the small endpoints") {
  House house;
  REQUIRE(call_json(house, "GET", "/health")["status"] == "ok");
  REQUIRE(call_json(house, "GET", "/ready")["status"] == "ready");
  REQUIRE(call_json(house, "GET", "/version")["version"] == "0.1.0");
  const Json models = call_json(house, "GET", "/v1/models");
  REQUIRE(models["object"] == "list");
  REQUIRE(models["data"][0]["id"] == "fake");
  REQUIRE(models["data"][0]["max_model_len"] == 1024);
  REQUIRE(call_json(house, "GET", "/v1/models/fake")["object"] == "model");
  REQUIRE(http_call(house.port(), "GET", "/v1/models/other").status == 404);
  const Json tokens = call_json(house, "POST", "/tokenize", R"({"prompt":"ab"})");
  REQUIRE(tokens["tokens"] == Json::array({ByteTokenizer::kBos, 97, 98}));
  REQUIRE(tokens["count"] == 3);
  REQUIRE(call_json(house, "POST", "/detokenize", R"({"tokens":[97,98]})")["prompt"] == "ab");
  const std::string messages = R"({"messages":[{"role":"user","content":"hi"}]})";
  REQUIRE(call_json(house, "POST", "/apply-template", messages)["prompt"] ==
          "user: hi\nassistant:");
  REQUIRE(call_json(house, "POST", "/tokenize", messages)["count"] == 19);
}

TEST_CASE("a whole chat") {
  House house;
  const Json answer = call_json(house, "POST", kChat, chat_of(5));
  REQUIRE(answer["object"] == "chat.completion");
  REQUIRE(answer["model"] == "fake");
  REQUIRE(answer["choices"][0]["message"]["role"] == "assistant");
  REQUIRE(answer["choices"][0]["message"]["content"] == "aaaaa");
  REQUIRE(answer["choices"][0]["finish_reason"] == "length");
  REQUIRE(answer["usage"]["total_tokens"] == 24);
}

TEST_CASE("metrics count what was done") {
  House house;
  call_json(house, "POST", kChat, chat_of(5));
  const Answer answer = http_call(house.port(), "GET", "/metrics");
  REQUIRE(answer.headers.at("content-type") == "text/plain; version=0.0.4; charset=utf-8");
  const auto has = [&](const std::string& line) {
    return answer.body.find(line) != std::string::npos;
  };
  REQUIRE(has("vllm:generation_tokens_total{model_name=\"fake\",engine=\"0\"} 5\n"));
  REQUIRE(has("vllm:prompt_tokens_total{model_name=\"fake\",engine=\"0\"} 19\n"));
  REQUIRE(has("finished_reason=\"length\"} 1\n"));
}

TEST_CASE("errors on the wire") {
  House house;
  const Answer unknown = http_call(house.port(), "GET", "/v2/nothing?x=1");
  REQUIRE(unknown.status == 404);
  REQUIRE(Json::parse(unknown.body)["error"]["type"] == "not_found_error");
  const Answer method = http_call(house.port(), "DELETE", kChat);
  REQUIRE(method.status == 405);
  REQUIRE(method.headers.at("allow") == "POST, OPTIONS");
  REQUIRE(http_call(house.port(), "POST", kChat, "{").status == 400);
  REQUIRE(http_call(house.port(), "POST", kChat, chat_of(5, R"(,"tools":[{}])")).status == 501);
  REQUIRE(http_call(house.port(), "POST", kChat, chat_of(5, R"(,"model":"x")")).status == 404);
  REQUIRE(http_call(house.port(), "POST", "/v1/embeddings", "{}").status == 501);
  REQUIRE(http_call(house.port(), "POST", kChat, "{}", "Content-Type: text/plain\r\n").status ==
          415);
  REQUIRE(http_call(house.port(), "POST", kChat, "{}", "Expect: miracles\r\n").status == 417);
  Client bare(house.port());
  bare.send("GET /health HTTP/1.1\r\n\r\n");
  REQUIRE(bare.read_answer().status == 400);
  // An echo never grows: the answer to a large bad body is small.
  const Answer echo =
      http_call(house.port(), "POST", kChat, "{\"" + std::string(1'000'000, '\\') + "\":1}");
  REQUIRE(echo.status == 400);
  REQUIRE(echo.body.size() < 8192);
}

TEST_CASE("keys guard the API, and the probes only where asked") {
  HouseOptions options;
  options.server.api_keys = {"sesame"};
  {
    House house(options);
    REQUIRE(http_call(house.port(), "GET", "/v1/models").status == 401);
    const Answer refused = http_call(house.port(), "POST", kChat, chat_of(1));
    REQUIRE(refused.status == 401);
    REQUIRE(refused.headers.at("www-authenticate") == "Bearer");
    REQUIRE(Json::parse(refused.body)["error"]["type"] == "authentication_error");
    REQUIRE(http_call(house.port(), "POST", kChat, chat_of(1), "Authorization: Bearer sesame\r\n")
                .status == 200);
    REQUIRE(http_call(house.port(), "GET", "/v1/models", "", "X-Api-Key: sesame\r\n").status ==
            200);
    REQUIRE(http_call(house.port(), "GET", "/v1/models", "", "X-Api-Key: sesam\r\n").status == 401);
    REQUIRE(http_call(house.port(), "GET", "/health").status == 200);
    REQUIRE(http_call(house.port(), "GET", "/metrics").status == 200);
  }
  options.server.protect_health = true;
  House house(options);
  REQUIRE(http_call(house.port(), "GET", "/health").status == 401);
  REQUIRE(http_call(house.port(), "GET", "/metrics", "", "X-Api-Key: sesame\r\n").status == 200);
}

TEST_CASE("an unauthorised body is not read, and its answer still arrives") {
  HouseOptions options;
  options.server.api_keys = {"sesame"};
  House house(options);
  Client client(house.port());
  client.send(http_request("POST", kChat, std::string(5'000'000, 'x')));
  const Answer answer = client.read_answer();
  REQUIRE(answer.status == 401);
  REQUIRE(answer.headers.at("connection") == "close");
}

TEST_CASE("kept connections serve request after request") {
  House house;
  Client client(house.port());
  for (int i = 0; i < 20; ++i) {
    client.send(http_request("POST", kChat, i % 2 == 0 ? chat_of(3) : streamed_chat_of(3)));
    REQUIRE(client.read_answer().status == 200);
  }
  client.send(http_request("GET", "/health", "", "Connection: close\r\n"));
  REQUIRE(client.read_answer().headers.at("connection") == "close");
  REQUIRE(client.read_until_closed());
}

TEST_CASE("pipelined requests are answered in order, streams among them") {
  House house;
  Client client(house.port());
  std::string all;
  for (int i = 1; i <= 8; ++i) {
    all += http_request("POST", kChat, i % 2 == 0 ? streamed_chat_of(i) : chat_of(i));
    all += http_request("GET", "/version");
  }
  client.send(all);
  for (int i = 1; i <= 8; ++i) {
    const Answer answer = client.read_answer();
    REQUIRE(answer.status == 200);
    if (i % 2 == 0) {
      REQUIRE(answer.body.ends_with("data: [DONE]\n\n"));
    } else {
      REQUIRE(Json::parse(answer.body)["choices"][0]["message"]["content"] ==
              std::string(static_cast<size_t>(i), 'a'));
    }
    REQUIRE(Json::parse(client.read_answer().body)["version"] == "0.1.0");
  }
}

TEST_CASE("a pipelined flood behind a stream is bounded, then served") {
  House house;
  house.controls().step_delay_us = 500;
  Client client(house.port());
  client.send(http_request("POST", kChat, streamed_chat_of(100)));
  constexpr int kRequests = 3000;  // 150 KB, above what is read ahead
  std::string flood;
  for (int i = 0; i < kRequests; ++i) flood += http_request("GET", "/version");
  client.send(flood);
  REQUIRE(client.read_answer().status == 200);
  for (int i = 0; i < kRequests; ++i) REQUIRE(client.read_answer().status == 200);
}

TEST_CASE("HEAD, OPTIONS and Expect") {
  HouseOptions options;
  options.server.cors_origins = {"https://chat.example.org"};
  House house(options);
  Client client(house.port());
  client.send(http_request("HEAD", "/v1/models"));
  const Answer head = client.read_answer(true);
  REQUIRE(head.status == 200);
  REQUIRE(std::stoi(head.headers.at("content-length")) > 10);
  client.send(http_request("OPTIONS", kChat, "",
                           "Origin: https://chat.example.org\r\n"
                           "Access-Control-Request-Method: POST\r\n"));
  const Answer preflight = client.read_answer();
  REQUIRE(preflight.status == 204);
  REQUIRE(preflight.headers.at("access-control-allow-origin") == "https://chat.example.org");
  REQUIRE(preflight.headers.at("access-control-allow-methods") == "POST, OPTIONS");
  client.send(http_request("GET", "/version", "", "Origin: https://evil.example.org\r\n"));
  REQUIRE_FALSE(client.read_answer().headers.contains("access-control-allow-origin"));
  const std::string body = chat_of(2);
  client.send(
      "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
      "Content-Length: " +
      std::to_string(body.size()) + "\r\n\r\n");
  REQUIRE(client.read_answer().status == 100);
  client.send(body);
  REQUIRE(client.read_answer().status == 200);
}

TEST_CASE("each answer carries the request's id") {
  House house;
  const Answer given = http_call(house.port(), "GET", "/version", "", "X-Request-Id: abc-1\r\n");
  REQUIRE(given.headers.at("x-request-id") == "abc-1");
  const Answer made = http_call(house.port(), "GET", "/version");
  REQUIRE(made.headers.at("x-request-id").starts_with("req_"));
}
