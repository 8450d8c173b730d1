// Every field that both generating endpoints share: accepted in range, refused by name out of it.

#include "config/limits.h"
#include "tests/server/api_context.h"

using namespace tq;
using namespace tq::server;
using namespace tq::server::test;

namespace {

struct Case {
  const char* json;   // the field
  const char* where;  // path that the error names
};

std::string with(const std::string& field) { return chat_body("," + field); }

}  // namespace

TEST_CASE("sampling fields reach the job") {
  const GenerationRequest request = must_parse_chat(with(
      R"("temperature":0.5,"top_p":0.9,"top_k":40,"min_p":0.1,"typical_p":0.8,)"
      R"("repetition_penalty":1.1,"presence_penalty":-1,"frequency_penalty":2,"seed":-7,)"
      R"("logit_bias":{"5":-100,"259":1.5},"logprobs":true,"top_logprobs":3,"n":2,"priority":-4)"));
  const auto& s = request.sampling;
  REQUIRE(s.temperature == 0.5f);
  REQUIRE(s.top_p == 0.9f);
  REQUIRE(s.top_k == 40);
  REQUIRE(s.min_p == 0.1f);
  REQUIRE(s.typical_p == 0.8f);
  REQUIRE(s.repetition_penalty == 1.1f);
  REQUIRE(s.presence_penalty == -1.0f);
  REQUIRE(s.frequency_penalty == 2.0f);
  REQUIRE(s.seed == static_cast<uint64_t>(-7));
  REQUIRE(s.logit_bias == std::vector<std::pair<TokenId, float>>{{5, -100.0f}, {259, 1.5f}});
  REQUIRE(s.logprobs);
  REQUIRE(s.top_logprobs == 3);
  REQUIRE(request.n == 2);
  REQUIRE(request.priority == -4);
}

TEST_CASE("stop rules reach the job") {
  const GenerationRequest request =
      must_parse_chat(with(R"("stop":["a","b"],"stop_token_ids":[1,2],"ignore_eos":true,)"
                           R"("max_tokens":9,"min_tokens":3,"include_stop_str_in_output":true)"));
  REQUIRE(request.stop.strings == std::vector<std::string>{"a", "b"});
  REQUIRE(request.stop.token_ids == std::vector<TokenId>{1, 2});
  REQUIRE(request.stop.ignore_eos);
  REQUIRE(request.stop.max_tokens == 9);
  REQUIRE(request.stop.min_tokens == 3);
  REQUIRE(request.stop.include_stop_string);
  REQUIRE(must_parse_chat(with(R"("stop":"x")")).stop.strings == std::vector<std::string>{"x"});
  REQUIRE(must_parse_chat(with(R"("max_completion_tokens":5)")).stop.max_tokens == 5);
}

TEST_CASE("defaults, and null as good as absent") {
  for (const char* fields : {"", R"(,"temperature":null,"stop":null,"seed":null,"tools":null,)"
                                 R"("response_format":null,"logit_bias":null,"stream":null)"}) {
    const GenerationRequest request = must_parse_chat(chat_body(fields));
    REQUIRE(request.sampling.temperature == 1.0f);
    REQUIRE_FALSE(request.sampling.seed.has_value());
    REQUIRE(request.stop.max_tokens == 0);
    REQUIRE_FALSE(request.stream);
    REQUIRE(request.n == 1);
  }
}

TEST_CASE("a value out of range or of the wrong type is a 400 that names the field") {
  const Case cases[] = {
      {R"("temperature":-0.1)", "temperature"},
      {R"("temperature":2.1)", "temperature"},
      {R"("temperature":"hot")", "temperature"},
      {R"("temperature":true)", "temperature"},
      {R"("top_p":0)", "top_p"},
      {R"("top_p":1.01)", "top_p"},
      {R"("top_k":-2)", "top_k"},
      {R"("top_k":1.5)", "top_k"},
      {R"("min_p":1.1)", "min_p"},
      {R"("typical_p":0)", "typical_p"},
      {R"("repetition_penalty":0)", "repetition_penalty"},
      {R"("repetition_penalty":11)", "repetition_penalty"},
      {R"("presence_penalty":2.5)", "presence_penalty"},
      {R"("frequency_penalty":-2.5)", "frequency_penalty"},
      {R"("seed":1.5)", "seed"},
      {R"("seed":18446744073709551615)", "seed"},
      {R"("n":0)", "n"},
      {R"("n":17)", "n"},
      {R"("n":9)", "n"},  // above what the queue holds
      {R"("best_of":0)", "best_of"},
      {R"("n":2,"best_of":1)", "best_of"},
      {R"("max_tokens":0)", "max_tokens"},
      {R"("max_tokens":-1)", "max_tokens"},
      {R"("max_tokens":3,"max_completion_tokens":4)", "max_completion_tokens"},
      {R"("max_tokens":3,"min_tokens":4)", "min_tokens"},
      {R"("stop":[""])", "stop.0"},
      {R"("stop":["a",1])", "stop.1"},
      {R"("stop":{"a":1})", "stop"},
      {R"("stop_token_ids":[260])", "stop_token_ids.0"},
      {R"("stop_token_ids":[-1])", "stop_token_ids.0"},
      {R"("stop_token_ids":5)", "stop_token_ids"},
      {R"("ignore_eos":1)", "ignore_eos"},
      {R"("logit_bias":[1])", "logit_bias"},
      {R"("logit_bias":{"260":1})", "logit_bias.260"},
      {R"("logit_bias":{"x":1})", "logit_bias.x"},
      {R"("logit_bias":{"1":101})", "logit_bias.1"},
      {R"("logit_bias":{"1":null})", "logit_bias.1"},
      {R"("logprobs":5)", "logprobs"},
      {R"("top_logprobs":3)", "top_logprobs"},
      {R"("logprobs":true,"top_logprobs":21)", "top_logprobs"},
      {R"("stream":"yes")", "stream"},
      {R"("stream_options":{"include_usage":true})", "stream_options"},
      {R"("stream":true,"stream_options":{"include_usages":true})",
       "stream_options.include_usages"},
      {R"("stream":true,"stream_options":1)", "stream_options"},
      {R"("priority":1.5)", "priority"},
      {R"("response_format":{"type":"yaml"})", "response_format.type"},
      {R"("response_format":"json")", "response_format"},
      {R"("tools":{})", "tools"},
      {R"("model":5)", "model"},
      {R"("temprature":1)", "temprature"},
      {R"("":1)", ""},
  };
  for (const Case& c : cases) must_refuse_chat(with(c.json), Code::kInvalidArgument, c.where);
}

TEST_CASE("known but not built is a 501 that names the field, never ignored") {
  const Case cases[] = {
      {R"("response_format":{"type":"json_object"})", "response_format"},
      {R"("response_format":{"type":"json_schema","json_schema":{}})", "response_format"},
      {R"("tools":[{"type":"function"}])", "tools"},
      {R"("tool_choice":"required")", "tool_choice"},
      {R"("tool_choice":{"type":"function"})", "tool_choice"},
      {R"("functions":[])", "functions"},
      {R"("best_of":2)", "best_of"},
      {R"("modalities":["text","audio"])", "modalities"},
      {R"("guided_json":{})", "guided_json"},
      {R"("use_beam_search":true)", "use_beam_search"},
      {R"("skip_special_tokens":false)", "skip_special_tokens"},
      {R"("reasoning_effort":"high")", "reasoning_effort"},
      {R"("stream":true,"stream_options":{"continuous_usage_stats":true})",
       "stream_options.continuous_usage_stats"},
  };
  for (const Case& c : cases) must_refuse_chat(with(c.json), Code::kUnsupported, c.where);
}

TEST_CASE("harmless fields of the API are accepted") {
  must_parse_chat(with(R"("user":"u","metadata":{"a":"b"},"store":true,"service_tier":"auto",)"
                       R"("safety_identifier":"s","prompt_cache_key":"k","model":"tiny",)"
                       R"("response_format":{"type":"text"},"tools":[],"tool_choice":"none",)"
                       R"("parallel_tool_calls":true,"modalities":["text"],"best_of":1,)"
                       R"("skip_special_tokens":true,"use_beam_search":false)"));
}

TEST_CASE("another model is a 404") {
  must_refuse_chat(with(R"("model":"gpt-4")"), Code::kNotFound, "model");
}

TEST_CASE("bodies that are no JSON object, or too deep, or too wide, are refused cheaply") {
  for (const char* body : {"", "nul", "[]", "1", "\"x\"", "{", "{\"a\":}", "{\"a\":1e999}",
                           "{\"a\":\"\xff\"}", "{\"a\":\"\\ud800\"}", "{} {}"}) {
    must_refuse_chat(body, Code::kInvalidArgument, "");
  }
  // Deep enough to end a recursive parser's stack; wide enough to make quadratic look-up hurt.
  const std::string deep(4 << 20, '[');
  must_refuse_chat(deep, Code::kInvalidArgument, "");
  std::string wide = "{";
  for (int i = 0; i < 200'000; ++i) wide += "\"k" + std::to_string(i) + "\":0,";
  wide += "\"z\":0}";
  must_refuse_chat(wide, Code::kInvalidArgument, "");
  // A bracket inside a string is no nesting.
  must_parse_chat(R"({"messages":[{"role":"user","content":")" + std::string(1000, '[') +
                  R"(\"{,"}]})");
}

TEST_CASE("the error's message stays small whatever the field's name") {
  const std::string name(100'000, 'x');
  const auto error = parse_chat_request(with("\"" + name + "\":1"), small_model());
  REQUIRE_FALSE(error.ok());
}

TEST_CASE("counts have limits") {
  std::string stops = R"("stop":[)";
  for (int i = 0; i <= limits::kStopStringsMax; ++i) stops += i == 0 ? "\"s\"" : ",\"s\"";
  must_refuse_chat(with(stops + "]"), Code::kInvalidArgument, "stop");
  const std::string longest(limits::kStopStringBytesMax + 1, 's');
  must_refuse_chat(with("\"stop\":\"" + longest + "\""), Code::kInvalidArgument, "stop");
  std::string ids = R"("stop_token_ids":[1)";
  for (int i = 0; i < limits::kStopTokensMax; ++i) ids += ",1";
  must_refuse_chat(with(ids + "]"), Code::kInvalidArgument, "stop_token_ids");
}
