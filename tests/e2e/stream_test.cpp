// The wire contract of streams, on real sockets.

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <set>
#include <thread>

#include "tests/e2e/client.h"
#include "tests/e2e/house.h"

using namespace tq;
using namespace tq::test;
using Json = nlohmann::json;

namespace {

constexpr const char* kCompletions = "/v1/completions";

std::vector<std::string> all_events(Client& client) {
  std::vector<std::string> events;
  while (auto event = client.read_event()) events.push_back(std::move(*event));
  return events;
}

std::string text_of(const std::vector<std::string>& events, int choice = 0) {
  std::string text;
  for (const std::string& event : events) {
    if (event == "[DONE]") continue;
    const Json chunk = Json::parse(event);
    for (const Json& entry : chunk["choices"]) {
      if (entry["index"] != choice) continue;
      if (entry.contains("delta")) text += entry["delta"].value("content", "");
      if (entry.contains("text")) text += entry["text"].get<std::string>();
    }
  }
  return text;
}

}  // namespace

TEST_CASE("a chat stream keeps the contract to the letter") {
  House house;
  Client client(house.port());
  client.send(http_request("POST", kChat,
                           streamed_chat_of(20, R"(,"stream_options":{"include_usage":true})")));
  const Answer head = client.read_head();
  REQUIRE(head.status == 200);
  REQUIRE(head.headers.at("content-type") == "text/event-stream; charset=utf-8");
  REQUIRE(head.headers.at("cache-control") == "no-cache");
  const auto events = all_events(client);
  REQUIRE(events.size() >= 5);
  REQUIRE(events.back() == "[DONE]");

  const Json first = Json::parse(events.front());
  REQUIRE(first["choices"][0]["delta"] == Json{{"role", "assistant"}, {"content", ""}});
  std::set<std::string> ids;
  std::set<std::string> constants;
  int n_roles = 0;
  for (size_t i = 0; i + 1 < events.size(); ++i) {
    const Json chunk = Json::parse(events[i]);
    ids.insert(chunk["id"].get<std::string>());
    constants.insert(chunk["model"].dump() + chunk["created"].dump() + chunk["object"].dump());
    const bool is_usage = i + 2 == events.size();
    REQUIRE(chunk.contains("usage"));
    REQUIRE(chunk["usage"].is_null() == !is_usage);
    REQUIRE(chunk["choices"].empty() == is_usage);
    if (is_usage) continue;
    REQUIRE(chunk["choices"][0].contains("finish_reason"));
    n_roles += chunk["choices"][0]["delta"].contains("role") ? 1 : 0;
  }
  REQUIRE(ids.size() == 1);
  REQUIRE(constants.size() == 1);
  REQUIRE(n_roles == 1);
  const Json finish = Json::parse(events[events.size() - 3])["choices"][0];
  REQUIRE(finish["delta"] == Json::object());
  REQUIRE(finish["finish_reason"] == "length");
  const Json usage = Json::parse(events[events.size() - 2])["usage"];
  REQUIRE(usage["completion_tokens"] == 20);
  REQUIRE(usage["prompt_tokens"] == 19);  // "user: hi\nassistant:"
  REQUIRE(usage["total_tokens"] == 39);
  REQUIRE(usage["prompt_tokens_details"].contains("cached_tokens"));
  REQUIRE(text_of(events) == std::string(20, 'a'));
  // The connection is still good for another request.
  client.send(http_request("GET", "/health"));
  REQUIRE(client.read_answer().status == 200);
}

TEST_CASE("the first event leaves before the second token is computed") {
  HouseOptions options;
  options.gated = true;
  House house(options);
  Client client(house.port());
  client.send(http_request("POST", kChat, streamed_chat_of(5)));
  REQUIRE(client.read_head().status == 200);
  REQUIRE(Json::parse(*client.read_event())["choices"][0]["delta"]["role"] == "assistant");
  house.gate().allow(1);  // one step: the whole prompt, and with it the first token
  const auto event = client.read_event();
  REQUIRE(event.has_value());
  REQUIRE(Json::parse(*event)["choices"][0]["delta"]["content"] == "a");
  REQUIRE(house.engine().stats().generation_tokens.load() == 1);
  house.gate().open();
  REQUIRE(all_events(client).back() == "[DONE]");
}

TEST_CASE("streamed and whole answers are equal") {
  House house;
  // No logit_bias: the fake model's own tokens, whatever bytes they are.
  const std::string fields =
      R"({"prompt":"tell","temperature":0,"max_tokens":200,"ignore_eos":true)";
  const Answer whole = http_call(house.port(), "POST", kCompletions, fields + "}");
  REQUIRE(whole.status == 200);
  Client client(house.port());
  client.send(http_request("POST", kCompletions, fields + R"(,"stream":true})"));
  REQUIRE(client.read_head().status == 200);
  const auto events = all_events(client);
  const Json answer = Json::parse(whole.body);
  REQUIRE(text_of(events) == answer["choices"][0]["text"].get<std::string>());
  REQUIRE(answer["usage"]["completion_tokens"] == 200);
  REQUIRE(answer["object"] == "text_completion");
}

TEST_CASE("choices and prompts are told apart by index; prompts count once") {
  House house;
  const std::string fields = R"({"prompt":["x","yy"],"n":2,"temperature":0,"max_tokens":6,)"
                             R"("ignore_eos":true,"logit_bias":{"97":100},"echo":true)";
  const Json whole = Json::parse(http_call(house.port(), "POST", kCompletions, fields + "}").body);
  REQUIRE(whole["choices"].size() == 4);
  for (int i = 0; i < 4; ++i) {
    REQUIRE(whole["choices"][i]["index"] == i);
    REQUIRE(whole["choices"][i]["text"] == (i < 2 ? "xaaaaaa" : "yyaaaaaa"));
  }
  REQUIRE(whole["usage"]["prompt_tokens"] == 2 + 3);  // each with its bos
  REQUIRE(whole["usage"]["completion_tokens"] == 24);
  Client client(house.port());
  client.send(http_request("POST", kCompletions, fields + R"(,"stream":true})"));
  REQUIRE(client.read_head().status == 200);
  const auto events = all_events(client);
  for (int i = 0; i < 4; ++i) REQUIRE(text_of(events, i) == (i < 2 ? "xaaaaaa" : "yyaaaaaa"));
}

TEST_CASE("16 streams at once are all answered, interleaved") {
  House house;
  house.controls().step_delay_us = 2'000;
  constexpr int kStreams = 16;
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < kStreams; ++i) {
    clients.push_back(std::make_unique<Client>(house.port()));
    clients.back()->send(http_request("POST", kChat, streamed_chat_of(100)));
  }
  // Role, then some text, of every stream, while none can have ended.
  for (auto& client : clients) {
    REQUIRE(client->read_head().status == 200);
    for (int i = 0; i < 4; ++i) REQUIRE(client->read_event().has_value());
  }
  REQUIRE(house.engine().stats().finished_length.load() == 0);
  for (auto& client : clients) {
    const auto events = all_events(*client);
    REQUIRE(events.back() == "[DONE]");
  }
  REQUIRE(House::eventually([&] { return house.is_empty(); }));
  REQUIRE(house.engine().stats().finished_length.load() == kStreams);
}

TEST_CASE("a silent stream gets pings with a single newline") {
  HouseOptions options;
  options.gated = true;
  options.server.ping_ms = 20;
  House house(options);
  Client client(house.port());
  client.send(http_request("POST", kChat, streamed_chat_of(3)));
  REQUIRE(client.read_head().status == 200);
  REQUIRE(client.read_event().has_value());
  REQUIRE_FALSE(client.read_event(std::chrono::milliseconds(300)).has_value());
  house.gate().open();
  REQUIRE(all_events(client).back() == "[DONE]");
  REQUIRE(client.stream_text().find(": ping\n") != std::string::npos);
  REQUIRE(client.stream_text().find(": ping\n\n") == std::string::npos);
}

TEST_CASE("a failure midway is an error event, then [DONE]") {
  House house;
  house.controls().fail_at_step = 5;
  Client client(house.port());
  client.send(http_request("POST", kChat, streamed_chat_of(50)));
  REQUIRE(client.read_head().status == 200);
  const auto events = all_events(client);
  REQUIRE(events.size() >= 2);
  REQUIRE(events.back() == "[DONE]");
  const Json error = Json::parse(events[events.size() - 2]);
  REQUIRE(error["error"]["type"] == "server_error");
  REQUIRE_FALSE(error["error"]["message"].get<std::string>().empty());
  client.send(http_request("GET", "/health"));  // the framing is intact
  REQUIRE(client.read_answer().status == 200);
  REQUIRE(House::eventually([&] { return house.is_empty(); }));
}

TEST_CASE("a request that takes too long ends with an error event") {
  HouseOptions options;
  options.server.request_ms_max = 200;
  House house(options);
  house.controls().step_delay_us = 5'000;
  Client client(house.port());
  client.send(http_request("POST", kChat, streamed_chat_of(900)));
  REQUIRE(client.read_head().status == 200);
  const auto events = all_events(client);
  REQUIRE(events.back() == "[DONE]");
  REQUIRE(Json::parse(events[events.size() - 2])["error"]["type"] == "timeout_error");
  REQUIRE(House::eventually([&] { return house.is_empty(); }));
}

TEST_CASE("HTTP/1.0 gets a stream without chunks, ended by the connection's end") {
  House house;
  Client client(house.port());
  const std::string body = streamed_chat_of(3);
  client.send("POST /v1/chat/completions HTTP/1.0\r\nContent-Length: " +
              std::to_string(body.size()) + "\r\n\r\n" + body);
  const Answer answer = client.read_answer();
  REQUIRE(answer.status == 200);
  REQUIRE_FALSE(answer.headers.contains("transfer-encoding"));
  REQUIRE(answer.headers.at("connection") == "close");
  REQUIRE(answer.body.starts_with("data: {"));
  REQUIRE(answer.body.ends_with("data: [DONE]\n\n"));
}

TEST_CASE("logprobs of a chat, streamed") {
  House house;
  Client client(house.port());
  client.send(
      http_request("POST", kChat, streamed_chat_of(4, R"(,"logprobs":true,"top_logprobs":2)")));
  REQUIRE(client.read_head().status == 200);
  int n_tokens = 0;
  for (const std::string& event : all_events(client)) {
    if (event == "[DONE]") continue;
    const Json choice = Json::parse(event)["choices"][0];
    if (choice["logprobs"].is_null()) continue;
    for (const Json& token : choice["logprobs"]["content"]) {
      REQUIRE(token["token"] == "a");
      REQUIRE(token["top_logprobs"].size() == 2);
      REQUIRE(token["bytes"] == Json::array({97}));
      ++n_tokens;
    }
  }
  REQUIRE(n_tokens == 4);
}

TEST_CASE("a stop string ends a stream and never shows its first half") {
  House house;
  Client client(house.port());
  client.send(
      http_request("POST", kChat, streamed_chat_of(50, R"(,"stop":["aaaab"],"min_tokens":0)")));
  REQUIRE(client.read_head().status == 200);
  REQUIRE(text_of(all_events(client)) == std::string(50, 'a'));
  Client second(house.port());
  second.send(http_request("POST", kChat, streamed_chat_of(50, R"(,"stop":["aaa"])")));
  REQUIRE(second.read_head().status == 200);
  const auto events = all_events(second);
  REQUIRE(text_of(events).empty());
  REQUIRE(Json::parse(events[events.size() - 2])["choices"][0]["finish_reason"] == "stop");
}
