// The order in which things end.

#include <catch2/catch.hpp>
#include <future>
#include <nlohmann/json.hpp>

#include "tests/e2e/client.h"
#include "tests/e2e/house.h"

using namespace tq;
using namespace tq::test;
using Json = nlohmann::json;

namespace {}  // namespace

TEST_CASE("draining finishes running and queued streams, refuses new requests, then stops") {
  HouseOptions options;
  options.gated = true;
  options.engine.seqs_max = 1;
  House house(options);
  Client running(house.port());
  running.send(http_request("POST", kChat, streamed_chat_of(5)));
  REQUIRE(running.read_head().status == 200);
  Client queued(house.port());
  queued.send(http_request("POST", kChat, streamed_chat_of(5)));
  REQUIRE(queued.read_head().status == 200);
  Client kept(house.port());
  kept.send(http_request("GET", "/ready"));
  REQUIRE(kept.read_answer().status == 200);

  auto finished = std::async(std::launch::async, [&] { return house.shut_down(); });
  REQUIRE(House::eventually([&] { return house.app().draining.load(); }));
  kept.send(http_request("GET", "/ready"));
  const Answer ready = kept.read_answer();
  REQUIRE(ready.status == 503);
  REQUIRE(ready.headers.contains("retry-after"));
  REQUIRE(ready.headers.at("connection") == "close");
  REQUIRE(House::eventually([&] { return !Client(house.port()).is_connected(); }));

  house.gate().open();
  for (Client* client : {&running, &queued}) {
    std::string last;
    while (auto event = client->read_event()) last = *event;
    REQUIRE(last == "[DONE]");
    REQUIRE(client->stream_text().find("\"finish_reason\":\"length\"") != std::string::npos);
  }
  REQUIRE(finished.get());
}

TEST_CASE("a kept connection that asks for a completion while draining gets 503") {
  HouseOptions options;
  options.gated = true;
  House house(options);
  Client running(house.port());
  running.send(http_request("POST", kChat, streamed_chat_of(2)));
  REQUIRE(running.read_head().status == 200);
  Client kept(house.port());
  kept.send(http_request("GET", "/health"));
  REQUIRE(kept.read_answer().status == 200);
  auto finished = std::async(std::launch::async, [&] { return house.shut_down(); });
  REQUIRE(House::eventually([&] { return house.app().draining.load(); }));
  kept.send(http_request("POST", kChat, chat_of(2)));
  const Answer answer = kept.read_answer();
  REQUIRE(answer.status == 503);
  REQUIRE(answer.headers.at("retry-after") == "5");
  REQUIRE(Json::parse(answer.body)["error"]["type"] == "unavailable_error");
  house.gate().open();
  REQUIRE(finished.get());
}

TEST_CASE("a drain that takes too long cancels what is left, with an error event") {
  HouseOptions options;
  options.server.drain_ms_max = 100;
  House house(options);
  house.controls().step_delay_us = 5'000;
  Client client(house.port());
  client.send(http_request("POST", kChat, streamed_chat_of(900)));
  REQUIRE(client.read_head().status == 200);
  REQUIRE(client.read_event().has_value());
  REQUIRE_FALSE(house.shut_down());
  std::vector<std::string> events;
  while (auto event = client.read_event()) events.push_back(*event);
  REQUIRE(events.size() >= 2);
  REQUIRE(events.back() == "[DONE]");
  REQUIRE(Json::parse(events[events.size() - 2])["error"]["type"] == "unavailable_error");
}

TEST_CASE("an idle house stops at once") {
  House house;
  Client kept(house.port());
  kept.send(http_request("GET", "/health"));
  REQUIRE(kept.read_answer().status == 200);
  const auto begin = std::chrono::steady_clock::now();
  REQUIRE(house.shut_down());
  REQUIRE(std::chrono::steady_clock::now() - begin < std::chrono::seconds(5));
  REQUIRE(kept.read_until_closed());
}

TEST_CASE("a port in use is an error that names it") {
  House house;
  ServerConfig config;
  config.port = house.port();
  auto second = server::Server::create(config);
  // The first has SO_REUSEADDR and listens: the second bind must fail.
  REQUIRE_FALSE(second.ok());
  REQUIRE(second.error().where.find(std::to_string(config.port)) != std::string::npos);
}
