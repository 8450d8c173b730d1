// Limits of the wire and of the queue, each with the status it must give.

#include <catch2/catch.hpp>
#include <memory>
#include <nlohmann/json.hpp>
#include <thread>
#include <vector>

#include "config/limits.h"
#include "tests/e2e/client.h"
#include "tests/e2e/house.h"

using namespace tq;
using namespace tq::test;
using Json = nlohmann::json;

namespace {}  // namespace

TEST_CASE("a full queue is 429 with Retry-After, before any 200") {
  HouseOptions options;
  options.gated = true;
  options.engine.seqs_max = 1;
  options.engine.queue_max = 2;
  House house(options);
  std::vector<std::unique_ptr<Client>> clients;
  Answer refused;
  // One may be running and two may wait: the queue is full after three at the latest.
  for (int i = 0; i < 5 && refused.status == 0; ++i) {
    clients.push_back(std::make_unique<Client>(house.port()));
    clients.back()->send(http_request("POST", kChat, streamed_chat_of(3)));
    Answer head = clients.back()->read_head();
    if (head.status != 200) refused = head;
  }
  REQUIRE(refused.status == 429);
  REQUIRE(refused.headers.at("retry-after") == "1");
  REQUIRE(refused.headers.at("retry-after-ms") == "1000");
  REQUIRE(clients.size() >= 3);
  const Answer whole = http_call(house.port(), "POST", kChat, chat_of(3));
  REQUIRE(whole.status == 429);
  REQUIRE(Json::parse(whole.body)["error"]["type"] == "rate_limit_error");
  // All or nothing: of two choices that do not both fit, none is left behind.
  house.gate().open();
  clients.pop_back();
  for (auto& client : clients) {
    while (client->read_event()) {
    }
  }
  REQUIRE(House::eventually([&] { return house.is_empty(); }));
  REQUIRE(house.engine().stats().finished_length.load() == clients.size());
}

TEST_CASE("choices that do not all fit the queue are all refused") {
  HouseOptions options;
  options.gated = true;
  options.engine.seqs_max = 1;
  options.engine.queue_max = 4;
  House house(options);
  Client first(house.port());
  first.send(http_request("POST", kChat, streamed_chat_of(3, R"(,"n":3)")));
  REQUIRE(first.read_head().status == 200);
  REQUIRE(http_call(house.port(), "POST", kChat, chat_of(3, R"(,"n":4)")).status == 429);
  house.gate().open();
  while (first.read_event()) {
  }
  REQUIRE(House::eventually([&] { return house.is_empty(); }));
  REQUIRE(house.engine().stats().finished_length.load() == 3);
}

TEST_CASE("prompts over the context are 400 with the numbers") {
  House house;
  const std::string body =
      R"({"messages":[{"role":"user","content":")" + std::string(2000, 'x') + R"("}]})";
  for (const char* more : {"", R"("stream":true,)"}) {
    const Answer answer =
        http_call(house.port(), "POST", kChat, "{" + std::string(more) + body.substr(1));
    REQUIRE(answer.status == 400);
    const Json error = Json::parse(answer.body)["error"];
    REQUIRE(error["code"] == "context_length_exceeded");
    REQUIRE(error["param"] == "messages");
    const auto message = error["message"].get<std::string>();
    REQUIRE(message.find("1024") != std::string::npos);
    REQUIRE(message.find("2017") != std::string::npos);  // the template adds 17 bytes
  }
}

TEST_CASE("a large body is 413, told before it is read") {
  HouseOptions options;
  options.server.body_bytes_max = 10'000;
  House house(options);
  Client declared(house.port());
  declared.send("POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n");
  const Answer answer = declared.read_answer();
  REQUIRE(answer.status == 413);
  REQUIRE(answer.headers.at("connection") == "close");
  REQUIRE(Json::parse(answer.body)["error"]["type"] == "invalid_request_error");
  // Sent whole: the answer must not be lost to a reset.
  REQUIRE(http_call(house.port(), "POST", kChat, std::string(3'000'000, 'x')).status == 413);
  Client chunked(house.port());
  chunked.send("POST /v1/completions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
  for (int i = 0; i < 20; ++i) chunked.send("400\r\n" + std::string(1024, 'x') + "\r\n");
  REQUIRE(chunked.read_answer().status == 413);
}

TEST_CASE("a large header is 431") {
  House house;
  Client client(house.port());
  client.send("GET /health HTTP/1.1\r\nHost: x\r\nX-Large: " +
              std::string(limits::kHeaderBytesMax, 'x') + "\r\n\r\n");
  REQUIRE(client.read_answer().status == 431);
  Client many(house.port());
  std::string lines = "GET /health HTTP/1.1\r\nHost: x\r\n";
  for (int i = 0; i < 3000; ++i) lines += "X-" + std::to_string(i) + ": y\r\n";
  many.send(lines + "\r\n");
  REQUIRE(many.read_answer().status == 431);
}

TEST_CASE("connections over the limit get 503, then the limit is free again") {
  HouseOptions options;
  options.server.connections_max = 3;
  House house(options);
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 3; ++i) {
    clients.push_back(std::make_unique<Client>(house.port()));
    clients.back()->send(http_request("GET", "/health"));
    REQUIRE(clients.back()->read_answer().status == 200);
  }
  Client over(house.port());
  const Answer answer = over.read_answer();  // told without asking
  REQUIRE(answer.status == 503);
  REQUIRE(answer.headers.at("connection") == "close");
  REQUIRE(answer.headers.contains("retry-after"));
  over.close();
  clients.clear();
  REQUIRE(House::eventually([&] { return house.app().http.connections.load() == 0; }));
  REQUIRE(http_call(house.port(), "GET", "/health").status == 200);
}

TEST_CASE("slow headers, slow bodies and idle connections are closed in time") {
  HouseOptions options;
  options.server.header_ms_max = 150;
  options.server.body_ms_max = 150;
  options.server.idle_ms_max = 150;
  House house(options);
  Client silent(house.port());
  Client header(house.port());
  header.send("GET /hea");
  Client body(house.port());
  body.send("POST /tokenize HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{");
  Client idle(house.port());
  idle.send(http_request("GET", "/health"));
  REQUIRE(idle.read_answer().status == 200);
  for (Client* client : {&silent, &header, &body, &idle}) REQUIRE(client->read_until_closed());
  REQUIRE(House::eventually([&] { return house.app().http.connections.load() == 0; }));
}

TEST_CASE("one byte at a time does not prolong the header's deadline") {
  HouseOptions options;
  options.server.header_ms_max = 300;
  House house(options);
  Client drip(house.port());
  const auto begin = std::chrono::steady_clock::now();
  while (drip.send("a") && std::chrono::steady_clock::now() - begin < std::chrono::seconds(10)) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  REQUIRE(std::chrono::steady_clock::now() - begin < std::chrono::seconds(10));
}

TEST_CASE("a stream outlives every deadline of the connection") {
  HouseOptions options;
  options.server.header_ms_max = 100;
  options.server.body_ms_max = 100;
  options.server.idle_ms_max = 100;
  options.server.write_ms_max = 100;
  House house(options);
  house.controls().step_delay_us = 5'000;
  Client client(house.port());
  client.send(http_request("POST", kChat, streamed_chat_of(100)));  // half a second
  REQUIRE(client.read_head().status == 200);
  std::string last;
  while (auto event = client.read_event()) last = *event;
  REQUIRE(last == "[DONE]");
}
