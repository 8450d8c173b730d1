#include "server/openai_response.h"

#include <catch2/catch.hpp>

using namespace tq;
using namespace tq::server;

namespace {

AnswerIdentity identity_of(ApiKind kind) { return {kind, "id-1", 1700000000, "m"}; }

engine::TokenLogprob token(const std::string& bytes, float logprob) {
  return {.token = 1, .logprob = logprob, .bytes = bytes, .top = {{2, -0.5f, "q"}}};
}

const std::string kHead =
    R"({"id":"id-1","object":"chat.completion.chunk","created":1700000000,"model":"m",)"
    R"("system_fingerprint":"tq-0.1.0","choices":[)";

}  // namespace

TEST_CASE("golden chunks of a chat") {
  ChunkWriter writer(identity_of(ApiKind::kChat), false, 1);
  REQUIRE(writer.role(0) == kHead + R"({"index":0,"delta":{"role":"assistant","content":""},)"
                                    R"("logprobs":null,"finish_reason":null}]})");
  REQUIRE(writer.delta(0, {.text = "h\"i\n", .tokens = {}, .logprobs = {}}) ==
          kHead + R"({"index":0,"delta":{"content":"h\"i\n"},"logprobs":null,)"
                  R"("finish_reason":null}]})");
  REQUIRE(writer.finish(0, engine::FinishReason::kLength) ==
          kHead + R"({"index":0,"delta":{},"logprobs":null,"finish_reason":"length"}]})");
}

TEST_CASE("with usage asked for, every chunk has it, null but in the last") {
  ChunkWriter writer(identity_of(ApiKind::kChat), true, 1);
  REQUIRE(Json::parse(writer.role(0))["usage"].is_null());
  REQUIRE(Json::parse(writer.role(0)).contains("usage"));
  const Json last =
      Json::parse(writer.usage({.prompt_tokens = 5, .cached_tokens = 3, .completion_tokens = 7}));
  REQUIRE(last["choices"] == Json::array());
  REQUIRE(last["usage"].dump() == R"({"prompt_tokens":5,"completion_tokens":7,"total_tokens":12,)"
                                  R"("prompt_tokens_details":{"cached_tokens":3}})");
}

TEST_CASE("golden chunks of a completion") {
  ChunkWriter writer(identity_of(ApiKind::kCompletion), false, 2);
  const Json delta = Json::parse(writer.delta(1, {.text = "x", .tokens = {}, .logprobs = {}}));
  REQUIRE(delta["object"] == "text_completion");
  REQUIRE(delta["choices"][0].dump() ==
          R"({"index":1,"text":"x","logprobs":null,"finish_reason":null})");
  const Json end = Json::parse(writer.finish(1, engine::FinishReason::kStop));
  REQUIRE(end["choices"][0]["finish_reason"] == "stop");
}

TEST_CASE("chat logprobs carry tokens, bytes and alternatives") {
  LogprobsWriter writer(ApiKind::kChat);
  REQUIRE(writer.write({}) == "null");
  const Json json = Json::parse(writer.write({token("\xc3", -0.25f)}));
  const Json& first = json["content"][0];
  REQUIRE(first["token"] == "\xef\xbf\xbd");  // half a character: exact in `bytes`
  REQUIRE(first["bytes"] == Json::array({0xc3}));
  REQUIRE(first["logprob"] == -0.25);
  REQUIRE(first["top_logprobs"][0]["token"] == "q");
  REQUIRE(json["refusal"].is_null());
  REQUIRE(Json::parse(writer.write({token("x", -INFINITY)}))["content"][0]["logprob"] == -9999.0);
}

TEST_CASE("completion logprobs count offsets in characters, across chunks") {
  LogprobsWriter writer(ApiKind::kCompletion);
  const Json one = Json::parse(writer.write({token("\xe2\x82\xac", -1.0f), token("ab", -2.0f)}));
  REQUIRE(one["tokens"] == Json::array({"\xe2\x82\xac", "ab"}));
  REQUIRE(one["text_offset"] == Json::array({0, 1}));
  REQUIRE(one["token_logprobs"] == Json::array({-1.0, -2.0}));
  REQUIRE(one["top_logprobs"][0]["q"] == -0.5);
  REQUIRE(Json::parse(writer.write({token("c", -1.0f)}))["text_offset"] == Json::array({3}));
}

TEST_CASE("a whole chat answer") {
  const Json json = Json::parse(
      whole_answer(identity_of(ApiKind::kChat), {{.text = "hello", .logprobs = {}, .reason = {}}},
                   {.prompt_tokens = 2, .cached_tokens = 0, .completion_tokens = 1}, false));
  REQUIRE(json["object"] == "chat.completion");
  REQUIRE(json["choices"][0].dump() ==
          R"({"index":0,"message":{"role":"assistant","content":"hello","refusal":null},)"
          R"("logprobs":null,"finish_reason":"stop"})");
  REQUIRE(json["usage"]["total_tokens"] == 3);
}

TEST_CASE("a whole completion answer, of two choices") {
  const Json json = Json::parse(
      whole_answer(identity_of(ApiKind::kCompletion),
                   {{.text = "a", .logprobs = {token("a", -1.0f)}, .reason = {}},
                    {.text = "b", .logprobs = {}, .reason = engine::FinishReason::kLength}},
                   {}, true));
  REQUIRE(json["choices"][0]["text"] == "a");
  REQUIRE(json["choices"][0]["logprobs"]["tokens"][0] == "a");
  REQUIRE(json["choices"][1]["index"] == 1);
  REQUIRE(json["choices"][1]["finish_reason"] == "length");
}

TEST_CASE("identities differ, and say what they are of") {
  const auto chat = make_identity(ApiKind::kChat, "m");
  REQUIRE(chat.id.starts_with("chatcmpl-"));
  REQUIRE(make_identity(ApiKind::kCompletion, "m").id.starts_with("cmpl-"));
  REQUIRE(make_identity(ApiKind::kChat, "m").id != chat.id);
}
