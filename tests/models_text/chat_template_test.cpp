// What jinja2 has no say in: errors and their lines, our extensions, the clock, threads.

#include "models/chat_template/chat_template.h"

#include <catch2/catch.hpp>
#include <ctime>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

namespace tq::models {
namespace {

using Json = nlohmann::ordered_json;

ChatTemplate parsed(const std::string& source) {
  auto result = ChatTemplate::parse(source);
  INFO(source << (result.ok() ? "" : "\n" + result.error().describe()));
  REQUIRE(result.ok());
  return std::move(result).value();
}

Error parse_error(const std::string& source) {
  auto result = ChatTemplate::parse(source);
  INFO(source);
  REQUIRE_FALSE(result.ok());
  return result.error();
}

std::string rendered(const std::string& source, const Json& variables = Json::object()) {
  const auto result = parsed(source).render(variables);
  INFO(source << (result.ok() ? "" : "\n" + result.error().describe()));
  REQUIRE(result.ok());
  return result.value();
}

Error render_error(const std::string& source, const Json& variables = Json::object()) {
  const auto result = parsed(source).render(variables);
  INFO(source << (result.ok() ? "\nrendered: " + result.value() : ""));
  REQUIRE_FALSE(result.ok());
  return result.error();
}

TEST_CASE("chat template: parse errors name the line and the cause") {
  const Error unknown = parse_error("ok\n\n{{ x|frobnicate }}");
  CHECK(unknown.code == Code::kInvalidArgument);
  CHECK(unknown.message == "line 3: No filter named 'frobnicate'.");
  CHECK(unknown.where == "chat template, line 3");
  CHECK(parse_error("{% if x %}\n{{ 1 +\n}}").message.starts_with("line 3: "));
  CHECK(parse_error("a\n{% for x in y recursive %}{% endfor %}").message.find("recursive") !=
        std::string::npos);
  CHECK(parse_error("{# a\nb #}\n{% include 'x' %}").message ==
        "line 3: the tag 'include' is not supported in chat templates");
  CHECK(parse_error("\n{% if x %}").message.find("'endif'") != std::string::npos);
}

TEST_CASE("chat template: render errors name the line") {
  const Error error = render_error("line one\n{% set x = 1 %}\n{{ y.z }}");
  CHECK(error.code == Code::kInvalidArgument);
  CHECK(error.message == "'y' is undefined");
  CHECK(error.where == "chat template, line 3");
  CHECK(render_error("{{ [\n1,\n2\n] | join(x.y) }}").where == "chat template, line 4");
  CHECK(render_error("{% macro m() %}\n{{ none.a.b }}{% endmacro %}\n\n{{ m() }}").where ==
        "chat template, line 2");
  CHECK(render_error("{{ messages[0].content + 1 }}", {{"messages", {{{"content", "hi"}}}}})
            .message == "unsupported operand type(s) for +: 'str' and 'int'");
}

TEST_CASE("chat template: raise_exception gives its own message") {
  const Error error = render_error("\n{{ raise_exception('Roles must alternate: ' ~ who) }}",
                                   {{"who", "narrator"}});
  CHECK(error.code == Code::kInvalidArgument);
  CHECK(error.message == "Roles must alternate: narrator");
  CHECK(error.where == "chat template, line 2");
}

TEST_CASE("chat template: variables must be an object") {
  const auto result = parsed("x").render(Json::array());
  REQUIRE_FALSE(result.ok());
  CHECK(result.error().code == Code::kInvalidArgument);
}

TEST_CASE("chat template: append works on lists of the template only") {
  CHECK(rendered("{% set l = [] %}{% for x in [1, 2] %}{% if l.append(x) %}{% endif %}{% endfor %}"
                 "{{ l }}") == "[1, 2]");
  CHECK(rendered("{% set l = 'a b'.split() %}{% set _ = l.append('c') %}{{ l|join }}") == "abc");
  const Json variables = {{"messages", {1, 2}}};
  CHECK(render_error("{% set _ = messages.append(3) %}", variables).message.find("unsafe") !=
        std::string::npos);
  CHECK(rendered("{{ messages.append is defined }}", variables) == "False");
}

TEST_CASE("chat template: texts joined to one beginning do not disturb each other") {
  // Long enough that joined texts share memory with room to grow.
  const Json variables = {{"s", std::string(5000, 'x')}};
  CHECK(
      rendered(
          "{% set a = s ~ 'a' %}{% set b = a ~ 'b' %}{% set c = a ~ 'c' %}{% set d = b ~ 'd' %}"
          "{% set e = a ~ a %}{% set f = d + d %}{{ a[4999:] }}|{{ b[4999:] }}|{{ c[4999:] }}|"
          "{{ d[4999:] }}|{{ e|length }}{{ e[-2:] }}|{{ f|length }}{{ f[:5003] == d }}{{ f[-3:] }}",
          variables) == "xa|xab|xac|xabd|10002xa|10006Trueabd");
}

TEST_CASE("chat template: output gathered in a variable costs what is added") {
  const Json variables = {{"messages", std::vector<std::string>(2000, std::string(1000, 'm'))}};
  CHECK(rendered("{% set ns = namespace(out='') %}{% for m in messages %}"
                 "{% set ns.out = ns.out ~ '<' ~ m ~ '>' %}{% endfor %}{{ ns.out|length }}",
                 variables) == "2004000");
}

TEST_CASE("chat template: a variable hides a global of the same name") {
  CHECK(rendered("{{ range }}", {{"range", "mine"}}) == "mine");
  CHECK(rendered("{{ namespace is defined }}{{ lipsum is defined }}") == "TrueFalse");
}

TEST_CASE("chat template: strftime_now is the local time") {
  const auto clock_text = [](const char* format) {
    const std::time_t now = std::time(nullptr);
    std::tm local{};
    localtime_r(&now, &local);
    std::string text(200, '\0');
    text.resize(std::strftime(text.data(), text.size(), format, &local));
    return text;
  };
  for (const char* format : {"%d %b %Y", "%Y-%m-%d %H:%M:%S", "%A, %B %d", "100%%"}) {
    const std::string source = "{{ strftime_now('" + std::string(format) + "') }}";
    // The second may change between the two readings, so one of two neighbours must match.
    const std::string before = clock_text(format);
    const std::string got = rendered(source);
    const std::string after = clock_text(format);
    INFO(before << " <= " << got << " <= " << after);
    CHECK((got == before || got == after));
  }
}

TEST_CASE("chat template: bytes that are not UTF-8 pass through") {
  const std::string odd = "a\xff\xc3(\xed\xa0\x80z";
  const Json variables = {{"s", odd}};
  CHECK(rendered("{{ s }}|{{ s|trim }}|{{ s ~ '' }}|{{ s[:] }}", variables) ==
        odd + "|" + odd + "|" + odd + "|" + odd);
  CHECK(rendered("{{ s|length }}{{ s[::-1][::-1] == s }}{{ s[1:2]|length }}", variables) ==
        "8True1");
  CHECK(rendered("{{ s|upper|lower == s }}", variables) == "True");
}

TEST_CASE("chat template: rendering is repeatable and leaves the variables alone") {
  const ChatTemplate chat_template = parsed(
      "{% set ns = namespace(n=0) %}{% for m in messages %}{% set ns.n = ns.n + m %}{% endfor %}"
      "{{ ns.n }}{% macro f(x) %}<{{ x }}>{% endmacro %}{{ f('y') }}");
  const Json variables = {{"messages", {1, 2, 3}}};
  const Json copy = variables;
  for (int i = 0; i < 3; ++i) CHECK(chat_template.render(variables).value() == "6<y>");
  CHECK(variables == copy);
}

TEST_CASE("chat template: one template renders on several threads at once") {
  const ChatTemplate chat_template = parsed(
      "{% for m in messages %}{{ loop.index }}{{ m|upper }}{{ m|tojson }}{{ 'é'|title }}{% endfor "
      "%}");
  std::vector<std::string> results(8);
  std::vector<std::thread> threads;
  for (size_t i = 0; i < results.size(); ++i)
    threads.emplace_back([&, i] {
      const Json variables = {{"messages", {"a" + std::to_string(i), "b"}}};
      for (int round = 0; round < 200; ++round)
        results[i] = chat_template.render(variables).value();
    });
  for (std::thread& thread : threads) thread.join();
  for (size_t i = 0; i < results.size(); ++i) {
    const std::string n = std::to_string(i);
    CHECK(results[i] == "1A" + n + "\"a" + n + "\"É2B\"b\"É");
  }
}

TEST_CASE("chat template: moved-to templates work and keep their source") {
  ChatTemplate first = parsed("{{ 'x' ~ 1 }}");
  ChatTemplate second = std::move(first);
  CHECK(second.source() == "{{ 'x' ~ 1 }}");
  CHECK(second.render(Json::object()).value() == "x1");
  second = parsed("other");
  CHECK(second.render(Json::object()).value() == "other");
}

}  // namespace
}  // namespace tq::models
