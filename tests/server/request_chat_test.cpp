#include "config/limits.h"
#include "tests/server/api_context.h"

using namespace tq;
using namespace tq::server;
using namespace tq::server::test;

namespace {

std::string body_of(const std::string& messages) { return R"({"messages":)" + messages + "}"; }

Json messages_of(const std::string& messages) {
  return must_parse_chat(body_of(messages)).template_variables["messages"];
}

void refuse(const std::string& messages, const std::string& where) {
  must_refuse_chat(body_of(messages), Code::kInvalidArgument, where);
}

}  // namespace

TEST_CASE("messages pass to the template as they are, parts joined") {
  const Json messages = messages_of(
      R"([{"role":"system","content":"be brief"},{"role":"developer","content":"d"},)"
      R"({"role":"user","name":"ann","content":[{"type":"text","text":"a"},)"
      R"({"type":"text","text":"b"}]},{"role":"assistant","content":"ok","refusal":null,)"
      R"("annotations":[],"audio":null,"function_call":null,"tool_calls":null}])");
  REQUIRE(messages.size() == 4);
  REQUIRE(messages[0] == Json{{"role", "system"}, {"content", "be brief"}});
  REQUIRE(messages[1]["role"] == "system");
  REQUIRE(messages[2]["content"] == "a\nb");
  REQUIRE(messages[2]["name"] == "ann");
  REQUIRE(messages[3] == Json{{"role", "assistant"}, {"content", "ok"}});
}

TEST_CASE("tool calls in the history become objects that templates can read") {
  const Json messages = messages_of(
      R"([{"role":"user","content":"w?"},{"role":"assistant","content":null,"tool_calls":[)"
      R"({"id":"c1","type":"function","function":{"name":"f","arguments":"{\"z\":1,\"a\":2}"}}]},)"
      R"({"role":"tool","tool_call_id":"c1","content":"sunny"}])");
  const Json& call = messages[1]["tool_calls"][0];
  REQUIRE(call["function"]["arguments"].dump() == R"({"z":1,"a":2})");
  REQUIRE(messages[2]["tool_call_id"] == "c1");
}

TEST_CASE("malformed history is a 400 with the path of the fault") {
  refuse("[]", "messages");
  refuse("{}", "messages");
  refuse("5", "messages");
  refuse("[5]", "messages.0");
  refuse(R"([{"content":"x"}])", "messages.0.role");
  refuse(R"([{"role":"king","content":"x"}])", "messages.0.role");
  refuse(R"([{"role":5,"content":"x"}])", "messages.0.role");
  refuse(R"([{"role":"user"}])", "messages.0.content");
  refuse(R"([{"role":"user","content":null}])", "messages.0.content");
  refuse(R"([{"role":"user","content":5}])", "messages.0.content");
  refuse(R"([{"role":"user","content":[]}])", "messages.0.content");
  refuse(R"([{"role":"user","content":[{"text":"x"}]}])", "messages.0.content.0.type");
  refuse(R"([{"role":"user","content":[{"type":"text"}]}])", "messages.0.content.0.text");
  refuse(R"([{"role":"user","content":[{"type":"poem","text":"x"}]}])",
         "messages.0.content.0.type");
  refuse(R"([{"role":"user","content":"a"},{"role":"user","content":"b","mood":1}])",
         "messages.1.mood");
  refuse(R"([{"role":"tool","tool_call_id":"c1","content":"x"}])", "messages.0.tool_call_id");
  refuse(R"([{"role":"tool","content":"x"}])", "messages.0.tool_call_id");
  refuse(R"([{"role":"assistant","content":null}])", "messages.0.content");
  refuse(R"([{"role":"assistant","tool_calls":[{"id":"a","function":{"name":"f",)"
         R"("arguments":"nonsense"}}]}])",
         "messages.0.tool_calls.0.function.arguments");
  refuse(R"([{"role":"assistant","tool_calls":[{"function":{"name":"f"}}]}])",
         "messages.0.tool_calls.0.id");
  must_refuse_chat("{}", Code::kInvalidArgument, "messages");
}

TEST_CASE("parts that the model cannot read are a 501") {
  must_refuse_chat(
      body_of(R"([{"role":"user","content":[{"type":"image_url","image_url":{"url":"x"}}]}])"),
      Code::kUnsupported, "messages.0.content.0.type");
}

TEST_CASE("more messages than allowed are refused by count") {
  std::string messages = "[";
  for (int i = 0; i <= limits::kMessagesMax; ++i) {
    messages += std::string(i == 0 ? "" : ",") + R"({"role":"user","content":"x"})";
  }
  refuse(messages + "]", "messages");
}

TEST_CASE("template variables") {
  const auto variables = [](const std::string& fields) {
    return must_parse_chat(chat_body(fields)).template_variables;
  };
  REQUIRE(variables("")["add_generation_prompt"] == true);
  REQUIRE(variables(R"(,"add_generation_prompt":false)")["add_generation_prompt"] == false);
  REQUIRE(variables(R"(,"chat_template_kwargs":{"enable_thinking":false})")["enable_thinking"] ==
          false);
  must_refuse_chat(chat_body(R"(,"chat_template_kwargs":{"messages":[]})"), Code::kInvalidArgument,
                   "chat_template_kwargs.messages");
  must_refuse_chat(chat_body(R"(,"chat_template_kwargs":[])"), Code::kInvalidArgument,
                   "chat_template_kwargs");
}

TEST_CASE("reasoning_effort goes to a template that reads it") {
  ApiContext context = small_model();
  context.template_reads_effort = true;
  const auto request = must_parse_chat(chat_body(R"(,"reasoning_effort":"low")"), context);
  REQUIRE(request.template_variables["reasoning_effort"] == "low");
  must_refuse_chat(chat_body(R"(,"reasoning_effort":"much")"), Code::kInvalidArgument,
                   "reasoning_effort", context);
}

TEST_CASE("a model without a template takes no chats") {
  ApiContext context = small_model();
  context.has_chat_template = false;
  must_refuse_chat(chat_body(""), Code::kUnsupported, "messages", context);
}

TEST_CASE("streams") {
  const auto request =
      must_parse_chat(chat_body(R"(,"stream":true,"stream_options":{"include_usage":true})"));
  REQUIRE(request.stream);
  REQUIRE(request.include_usage);
}

TEST_CASE("fields of the other endpoint are refused in a chat") {
  must_refuse_chat(chat_body(R"(,"echo":true)"), Code::kUnsupported, "echo");
  must_refuse_chat(chat_body(R"(,"suffix":"x")"), Code::kUnsupported, "suffix");
  must_refuse_chat(chat_body(R"(,"prompt":"x")"), Code::kInvalidArgument, "prompt");
}
