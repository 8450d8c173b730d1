// A client that leaves, at any stage, frees its blocks; a client that does not read is dropped.

#include <catch2/catch.hpp>
#include <memory>
#include <thread>
#include <vector>

#include "tests/e2e/client.h"
#include "tests/e2e/house.h"
#include "tests/support/seeded.h"

using namespace tq;
using namespace tq::test;

namespace {

void must_empty(House& house, uint64_t n_cancelled) {
  REQUIRE(House::eventually([&] { return house.is_empty(); }));
  REQUIRE(House::eventually(
      [&] { return house.engine().stats().finished_cancelled.load() == n_cancelled; }));
  REQUIRE(house.engine().stats().finished_length.load() == 0);
}

std::string long_prompt(int n_bytes) {
  return R"({"model":"fake","messages":[{"role":"user","content":")" +
         std::string(static_cast<size_t>(n_bytes), 'p') + R"("}],"max_tokens":100)";
}

}  // namespace

TEST_CASE("leaving a stream frees its blocks") {
  House house;
  house.controls().step_delay_us = 1'000;
  Client client(house.port());
  client.send(http_request("POST", kChat, streamed_chat_of(900)));
  REQUIRE(client.read_head().status == 200);
  for (int i = 0; i < 5; ++i) REQUIRE(client.read_event().has_value());
  REQUIRE(house.running() == 1);
  REQUIRE_FALSE(house.is_empty());
  client.close();
  must_empty(house, 1);
  REQUIRE(house.app().http.disconnects.load() == 1);
}

TEST_CASE("leaving an unstreamed request frees its blocks") {
  House house;
  house.controls().step_delay_us = 1'000;
  Client client(house.port());
  client.send(http_request("POST", kChat, chat_of(900)));
  REQUIRE(House::eventually([&] { return house.running() == 1; }));
  client.close();
  must_empty(house, 1);
}

TEST_CASE("leaving with several choices frees them all") {
  House house;
  house.controls().step_delay_us = 1'000;
  Client client(house.port());
  client.send(http_request("POST", kChat, streamed_chat_of(900, R"(,"n":4)")));
  REQUIRE(client.read_head().status == 200);
  REQUIRE(House::eventually([&] { return house.running() == 4; }));
  client.close();
  must_empty(house, 4);
}

TEST_CASE("leaving while queued takes the request out of the queue") {
  HouseOptions options;
  options.engine.seqs_max = 1;
  House house(options);
  house.controls().step_delay_us = 1'000;
  Client first(house.port());
  first.send(http_request("POST", kChat, streamed_chat_of(900)));
  REQUIRE(first.read_head().status == 200);
  REQUIRE(first.read_event().has_value());
  REQUIRE(House::eventually([&] { return house.running() == 1; }));
  Client streamed(house.port());
  streamed.send(http_request("POST", kChat, streamed_chat_of(900)));
  REQUIRE(streamed.read_head().status == 200);
  Client whole(house.port());
  whole.send(http_request("POST", kChat, chat_of(900)));
  REQUIRE(House::eventually([&] { return house.engine().stats().waiting.load() == 2; }));
  streamed.close();
  whole.close();
  REQUIRE(House::eventually([&] { return house.engine().stats().waiting.load() == 0; }));
  REQUIRE(house.running() == 1);  // the first goes on
  REQUIRE(first.read_event().has_value());
  first.close();
  must_empty(house, 3);
}

TEST_CASE("leaving in prefill frees the blocks of the chunks so far") {
  HouseOptions options;
  options.gated = true;
  options.engine.step_tokens_max = 32;
  House house(options);
  Client client(house.port());
  client.send(http_request("POST", kChat, long_prompt(600) + R"(,"stream":true})"));
  REQUIRE(client.read_head().status == 200);
  house.gate().allow(3);  // 3 of about 20 chunks
  REQUIRE(House::eventually([&] { return house.controls().n_steps.load() == 3; }));
  REQUIRE(house.engine().stats().generation_tokens.load() == 0);
  client.close();
  REQUIRE(House::eventually([&] { return house.app().http.disconnects.load() == 1; }));
  house.gate().allow(1);  // the step that was under way
  must_empty(house, 1);
  REQUIRE(house.engine().stats().generation_tokens.load() == 0);
}

TEST_CASE("a half-closed connection counts as left") {
  House house;
  house.controls().step_delay_us = 1'000;
  Client client(house.port());
  client.send(http_request("POST", kChat, chat_of(900)));
  REQUIRE(House::eventually([&] { return house.running() == 1; }));
  client.half_close();
  must_empty(house, 1);
}

TEST_CASE("a client that does not read is dropped, and its blocks are freed") {
  HouseOptions options;
  options.server.write_ms_max = 300;
  House house(options);
  house.controls().step_delay_us = 4'000;  // 3.6 s in all: the drop comes long before the end
  Client client(house.port(), 2048);
  // Logprobs make some 2 KB an event: far more than the kernel buffers between the two.
  client.send(http_request("POST", kChat,
                           streamed_chat_of(900, R"(,"n":8,"logprobs":true,"top_logprobs":20)")));
  REQUIRE(client.read_head().status == 200);
  must_empty(house, 8);
  REQUIRE(client.read_until_closed());
  REQUIRE(house.app().http.disconnects.load() == 1);
}

TEST_CASE("many clients that come and go leave nothing behind") {
  House house;
  house.controls().step_delay_us = 300;
  Seeded random(20261124);
  INFO("seed 20261124");
  for (int round = 0; round < 60; ++round) {
    std::vector<std::unique_ptr<Client>> clients;
    const auto n = random.in(1, 6);
    for (int64_t i = 0; i < n; ++i) {
      clients.push_back(std::make_unique<Client>(house.port()));
      const bool streamed = random.chance(0.5);
      const int n_tokens = static_cast<int>(random.in(1, 400));
      clients.back()->send(
          http_request("POST", kChat, streamed ? streamed_chat_of(n_tokens) : chat_of(n_tokens)));
    }
    // They leave at any stage: before admission, queued, in prefill, in the midst of the answer.
    std::this_thread::sleep_for(std::chrono::milliseconds(random.in(0, 20)));
  }
  REQUIRE(House::eventually([&] { return house.is_empty(); }));
  REQUIRE(House::eventually([&] { return house.app().http.connections.load() == 0; }));
}
