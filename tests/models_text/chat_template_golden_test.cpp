// Chat templates render to the bytes that jinja2 gives, and fail where it fails, on all golden
// cases.

#include <catch2/catch.hpp>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "models/chat_template/chat_template.h"

namespace tq::models {
namespace {

using Json = nlohmann::ordered_json;

Json read_golden(const std::string& name) {
  std::ifstream file(TQ_SOURCE_DIR "/tests/golden/chat_template/" + name);
  REQUIRE(file.good());
  return Json::parse(file);
}

Result<std::string> render(const std::string& source, const Json& variables) {
  TQ_ASSIGN(const ChatTemplate chat_template, ChatTemplate::parse(source));
  return chat_template.render(variables);
}

// raise_exception's message is the template's own, so it must come through unchanged; the wording
// of other errors is ours.
void check_error(const std::string& wanted, const Error& error) {
  static const std::string kRaised = "TemplateError: ";
  if (wanted.starts_with(kRaised)) {
    CHECK(error.message == wanted.substr(kRaised.size()));
    CHECK(error.code == Code::kInvalidArgument);
  }
  CHECK(error.where.find("line ") != std::string::npos);
}

void check_case(const std::string& source, const Json& variables, const Json& golden) {
  const Result<std::string> got = render(source, variables);
  if (golden.contains("expect")) {
    INFO((got.ok() ? "" : got.error().describe()));
    REQUIRE(got.ok());
    CHECK(got.value() == golden["expect"].get<std::string>());
  } else {
    INFO("jinja2: " << golden["error"].get<std::string>());
    INFO((got.ok() ? "rendered: " + got.value() : ""));
    REQUIRE_FALSE(got.ok());
    check_error(golden["error"].get<std::string>(), got.error());
  }
}

void check_small(const std::string& name) {
  const Json golden = read_golden(name);
  REQUIRE(golden["cases"].size() > 100);
  for (const Json& one : golden["cases"]) {
    const std::string source = one["source"].get<std::string>();
    INFO("template: " << source);
    check_case(source, golden["variables"], one);
  }
}

TEST_CASE("chat templates: every template with every conversation equals jinja2") {
  const Json golden = read_golden("chats.json");
  std::map<std::string, int> n_rendered;
  for (const Json& one : golden["cases"]) {
    const std::string name = one["template"].get<std::string>();
    const std::string conversation = one["variables"].get<std::string>();
    INFO("template: " << name << ", conversation: " << conversation);
    check_case(golden["templates"][name].get<std::string>(), golden["variables"][conversation],
               one);
    n_rendered[name] += one.contains("expect") ? 1 : 0;
  }
  CHECK(n_rendered.size() == golden["templates"].size());
  for (const auto& [name, n] : n_rendered) {
    INFO("template: " << name);
    CHECK(n > 0);  // a template that only ever fails would test nothing
  }
}

TEST_CASE("chat templates: expressions equal jinja2") { check_small("expressions.json"); }

TEST_CASE("chat templates: statements and whitespace equal jinja2") {
  check_small("statements.json");
}

}  // namespace
}  // namespace tq::models
