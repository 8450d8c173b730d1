// Seeded garbage on the wire: the server answers or closes, and goes on serving.

#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "tests/e2e/client.h"
#include "tests/e2e/house.h"
#include "tests/support/seeded.h"

using namespace tq;
using namespace tq::test;

namespace {

constexpr uint64_t kSeed = 0x7e57f022;

std::string noise(Seeded& random, int64_t n) {
  std::string out;
  for (int64_t i = 0; i < n; ++i) out += static_cast<char>(random.in(0, 255));
  return out;
}

// A valid request with a few bytes changed, cut, doubled or spliced.
std::string mutated(Seeded& random, std::string text) {
  const int64_t n_edits = random.in(1, 6);
  for (int64_t i = 0; i < n_edits && !text.empty(); ++i) {
    const auto at = static_cast<size_t>(random.in(0, static_cast<int64_t>(text.size()) - 1));
    switch (random.in(0, 5)) {
      case 0: text[at] = static_cast<char>(random.in(0, 255)); break;
      case 1: text.erase(at, static_cast<size_t>(random.in(1, 20))); break;
      case 2: text.insert(at, noise(random, random.in(1, 20))); break;
      case 3: text.insert(at, text.substr(at, static_cast<size_t>(random.in(1, 40)))); break;
      case 4: text.resize(at); break;
      default: text.insert(at, "\r\n"); break;
    }
  }
  return text;
}

std::vector<std::string> seeds() {
  return {
      http_request("POST", "/v1/chat/completions", chat_of(2)),
      http_request("POST", "/v1/chat/completions", streamed_chat_of(2)),
      http_request("POST", "/v1/completions",
                   R"({"prompt":[[1,2],"x"],"max_tokens":2,"stop":["a"],"logit_bias":{"1":2}})"),
      http_request("GET", "/v1/models/a%2Fb?x=y", "", "X-Api-Key: k\r\nOrigin: http://a\r\n"),
      ("POST /tokenize HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
       "e\r\n{\"prompt\":\"a\"}\r\n0\r\n\r\n"),
      ("POST /v1/completions HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
       "Content-Length: 2\r\n\r\n{}"),
      "GET /health HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
      http_request("OPTIONS", "*") + http_request("HEAD", "/metrics"),
  };
}

HouseOptions hurried() {
  HouseOptions options;
  options.server.header_ms_max = 2'000;
  options.server.body_ms_max = 2'000;
  options.server.idle_ms_max = 2'000;
  return options;
}

}  // namespace

TEST_CASE("thousands of broken requests never crash the server") {
  WARN("seed " << kSeed);
  Seeded random(kSeed);
  House house(hurried());
  const std::vector<std::string> originals = seeds();
  constexpr int kRounds = 4'000;
  for (int round = 0; round < kRounds; ++round) {
    Client client(house.port());
    REQUIRE(client.is_connected());
    const auto pick = static_cast<size_t>(random.in(0, static_cast<int64_t>(originals.size()) - 1));
    const std::string bytes =
        random.chance(0.2) ? noise(random, random.in(1, 400)) : mutated(random, originals[pick]);
    client.send(bytes);
    // Half of them stay until an answer or the end of what may come, half leave at once.
    if (random.chance(0.5)) {
      client.half_close();
      client.read_until_closed(std::chrono::seconds(10));
    }
  }
  REQUIRE(http_call(house.port(), "GET", "/health").status == 200);
  REQUIRE(House::eventually([&] { return house.app().http.connections.load() == 0; }));
  REQUIRE(House::eventually([&] { return house.is_empty(); }));
}

TEST_CASE("thousands of broken JSON bodies on kept connections are answered one by one") {
  WARN("seed " << kSeed + 1);
  Seeded random(kSeed + 1);
  House house(hurried());
  const std::vector<std::string> bodies = {
      chat_of(1, R"(,"stop":["x"],"n":1,"logprobs":true,"top_logprobs":1)"),
      R"({"prompt":["a",[1,2]],"max_tokens":1,"echo":true})",
      R"({"messages":[{"role":"assistant","content":null,"tool_calls":[{"id":"c","type":)"
      R"("function","function":{"name":"f","arguments":"{\"a\":1}"}}]},{"role":"tool",)"
      R"("tool_call_id":"c","content":[{"type":"text","text":"t"}]}],"max_tokens":1})"};
  auto client = std::make_unique<Client>(house.port());
  for (int round = 0; round < 3'000; ++round) {
    const auto pick = static_cast<size_t>(random.in(0, 2));
    std::string body = mutated(random, bodies[pick]);
    if (body.empty()) body = "{";
    const char* target = pick == 1 ? "/v1/completions" : "/v1/chat/completions";
    REQUIRE(client->send(http_request("POST", target, body)));
    const Answer answer = client->read_answer();
    INFO("round " << round << ": " << body);
    const bool expected = answer.status == 200 || answer.status == 400 || answer.status == 404 ||
                          answer.status == 501;
    REQUIRE(expected);
  }
  client.reset();
  REQUIRE(House::eventually([&] { return house.is_empty(); }));
}
