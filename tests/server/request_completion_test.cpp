#include "config/limits.h"
#include "server/prepare.h"
#include "tests/server/api_context.h"

using namespace tq;
using namespace tq::server;
using namespace tq::server::test;

namespace {

GenerationRequest must_parse(const std::string& body) {
  auto request = parse_completion_request(body, small_model());
  INFO(body);
  INFO((request.ok() ? std::string() : request.error().describe()));
  REQUIRE(request.ok());
  return *request;
}

void refuse(const std::string& body, Code code, const std::string& where) {
  auto request = parse_completion_request(body, small_model());
  INFO(body);
  REQUIRE_FALSE(request.ok());
  INFO(request.error().describe());
  REQUIRE(request.error().code == code);
  REQUIRE(request.error().where == where);
}

}  // namespace

TEST_CASE("a prompt is text, token ids, or a list of either") {
  REQUIRE(std::get<std::string>(must_parse(R"({"prompt":"abc"})").prompts.at(0)) == "abc");
  REQUIRE(std::get<std::vector<TokenId>>(must_parse(R"({"prompt":[1,2]})").prompts.at(0)) ==
          std::vector<TokenId>{1, 2});
  REQUIRE(must_parse(R"({"prompt":["a","b"]})").prompts.size() == 2);
  const auto mixed = must_parse(R"({"prompt":[[1],"b",[2,3]]})").prompts;
  REQUIRE(mixed.size() == 3);
  REQUIRE(std::get<std::vector<TokenId>>(mixed[2]) == std::vector<TokenId>{2, 3});
}

TEST_CASE("prompts that are none") {
  refuse("{}", Code::kInvalidArgument, "prompt");
  refuse(R"({"prompt":5})", Code::kInvalidArgument, "prompt");
  refuse(R"({"prompt":[]})", Code::kInvalidArgument, "prompt");
  refuse(R"({"prompt":[1,"a"]})", Code::kInvalidArgument, "prompt.1");
  refuse(R"({"prompt":["a",1]})", Code::kInvalidArgument, "prompt.1");
  refuse(R"({"prompt":[260]})", Code::kInvalidArgument, "prompt.0");
  refuse(R"({"prompt":[[1,1.5]]})", Code::kInvalidArgument, "prompt.0.1");
  refuse(R"({"prompt":"a","messages":[]})", Code::kInvalidArgument, "messages");
}

TEST_CASE("token ids over the context are refused by count") {
  std::string ids = "1";
  for (int i = 0; i < 100; ++i) ids += ",1";
  refuse(R"({"prompt":[)" + ids + "]}", Code::kContextLength, "prompt");
  refuse(R"({"prompt":[[)" + ids + "]]}", Code::kContextLength, "prompt.0");
}

TEST_CASE("prompts times n fit the queue") {
  must_parse(R"({"prompt":["a","b","c","d"],"n":2})");
  refuse(R"({"prompt":["a","b","c","d","e"],"n":2})", Code::kInvalidArgument, "prompt");
}

TEST_CASE("echo, suffix and logprobs") {
  REQUIRE(must_parse(R"({"prompt":"a","echo":true})").echo);
  const auto request = must_parse(R"({"prompt":"a","logprobs":2})");
  REQUIRE(request.sampling.logprobs);
  REQUIRE(request.sampling.top_logprobs == 2);
  REQUIRE(must_parse(R"({"prompt":"a","logprobs":0})").sampling.logprobs);
  REQUIRE_FALSE(must_parse(R"({"prompt":"a"})").sampling.logprobs);
  must_parse(R"({"prompt":"a","suffix":""})");
  refuse(R"({"prompt":"a","suffix":"z"})", Code::kUnsupported, "suffix");
  refuse(R"({"prompt":"a","logprobs":1,"echo":true})", Code::kUnsupported, "logprobs");
  refuse(R"({"prompt":"a","logprobs":true})", Code::kInvalidArgument, "logprobs");
  refuse(R"({"prompt":"a","logprobs":21})", Code::kInvalidArgument, "logprobs");
  refuse(R"({"prompt":"a","top_logprobs":1})", Code::kInvalidArgument, "top_logprobs");
}

TEST_CASE("the completion's room: what is asked for, else the rest of the context") {
  REQUIRE(*fit_max_tokens(10, 0, 64) == 54);
  REQUIRE(*fit_max_tokens(10, 5, 64) == 5);
  REQUIRE(*fit_max_tokens(63, 0, 64) == 1);
  REQUIRE(*fit_max_tokens(10, 54, 64) == 54);
  for (const auto& [prompt, wanted] : {std::pair{64, 0}, {10, 55}, {1000, 1}}) {
    const auto room = fit_max_tokens(prompt, wanted, 64);
    REQUIRE_FALSE(room.ok());
    REQUIRE(room.error().code == Code::kContextLength);
    REQUIRE(room.error().message.find("64") != std::string::npos);
    REQUIRE(room.error().message.find(std::to_string(prompt)) != std::string::npos);
  }
}

TEST_CASE("tokenize, detokenize and apply-template") {
  const ApiContext context = small_model();
  REQUIRE(parse_tokenize_request(R"({"prompt":"x"})", context)->add_special_tokens);
  REQUIRE_FALSE(parse_tokenize_request(R"({"messages":[{"role":"user","content":"x"}]})", context)
                    ->add_special_tokens);
  REQUIRE_FALSE(parse_tokenize_request("{}", context).ok());
  REQUIRE_FALSE(parse_tokenize_request(
                    R"({"prompt":"x","messages":[{"role":"user","content":"x"}]})", context)
                    .ok());
  REQUIRE(*parse_detokenize_request(R"({"tokens":[1,2]})", context) == std::vector<TokenId>{1, 2});
  REQUIRE_FALSE(parse_detokenize_request(R"({"tokens":[999]})", context).ok());
  REQUIRE(parse_template_request(chat_body(""), context).ok());
  REQUIRE_FALSE(parse_template_request(chat_body(R"(,"x":1)"), context).ok());
}
