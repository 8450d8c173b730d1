#pragma once
// What the request tests validate against. Plain values.

#include <catch2/catch.hpp>
#include <string>

#include "server/openai_request.h"

namespace tq::server::test {

inline ApiContext small_model() {
  ApiContext context;
  context.model_name = "tiny";
  context.context_max = 64;
  context.vocab_size = 260;
  context.choices_max = 8;
  context.has_chat_template = true;
  return context;
}

// A chat body: one user message and `fields`, which start with a comma or are empty.
inline std::string chat_body(const std::string& fields) {
  return R"({"messages":[{"role":"user","content":"hi"}])" + fields + "}";
}

inline GenerationRequest must_parse_chat(const std::string& body,
                                         const ApiContext& context = small_model()) {
  auto request = parse_chat_request(body, context);
  INFO(body);
  INFO((request.ok() ? std::string() : request.error().describe()));
  REQUIRE(request.ok());
  return *request;
}

// The error must carry this code and this path.
inline Error must_refuse_chat(const std::string& body,
                              Code code,
                              const std::string& where,
                              const ApiContext& context = small_model()) {
  auto request = parse_chat_request(body, context);
  INFO(body);
  REQUIRE_FALSE(request.ok());
  INFO(request.error().describe());
  REQUIRE(request.error().code == code);
  REQUIRE(request.error().where == where);
  if (!where.empty()) REQUIRE(request.error().message.find(where) != std::string::npos);
  return request.error();
}

}  // namespace tq::server::test
