// Hostile templates and values: each ends, in bounded time, in text or in an error. Never a crash.

#include <catch2/catch.hpp>
#include <chrono>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "config/limits.h"
#include "models/chat_template/chat_template.h"

namespace tq::models {
namespace {

using Json = nlohmann::ordered_json;

// The step budget is some seconds of work at most under sanitizers on a slow machine; a template
// that escapes the budget runs for hours.
constexpr std::chrono::seconds kTimeMax{60};

struct Outcome {
  bool ok = false;
  std::string text;
  Error error;
};

Outcome run(const std::string& source, const Json& variables = Json::object()) {
  const auto start = std::chrono::steady_clock::now();
  Outcome outcome;
  const auto parsed = ChatTemplate::parse(source);
  if (!parsed.ok()) {
    outcome.error = parsed.error();
  } else if (auto result = parsed.value().render(variables); result.ok()) {
    outcome.ok = true;
    outcome.text = result.value();
  } else {
    outcome.error = result.error();
  }
  CHECK(std::chrono::steady_clock::now() - start < kTimeMax);
  return outcome;
}

std::string repeated(const std::string& unit, size_t n) {
  std::string text;
  for (size_t i = 0; i < n; ++i) text += unit;
  return text;
}

void expect_error(const std::string& source, Code code, const Json& variables = Json::object()) {
  const Outcome outcome = run(source, variables);
  INFO(source.substr(0, 300) << "\n" << outcome.text.substr(0, 100) << outcome.error.describe());
  REQUIRE_FALSE(outcome.ok);
  CHECK(outcome.error.code == code);
  CHECK_FALSE(outcome.error.message.empty());
}

TEST_CASE("hostile chat template: nesting of the source is bounded") {
  const size_t n = 100'000;
  const std::vector<std::string> sources = {
      "{{ " + repeated("(", n) + "1" + repeated(")", n) + " }}",
      "{{ " + repeated("(", n),
      "{{ " + repeated("[", n) + repeated("]", n) + " }}",
      "{{ " + repeated("{1:", n) + "2" + repeated("}", n) + " }}",
      "{{ " + repeated("not ", n) + "x }}",
      "{{ " + repeated("-", n) + "1 }}",
      "{{ " + repeated("- + ", n) + "1 }}",
      "{{ " + repeated("1 if x else ", n / 2) + "2 }}",
      "{{ " + repeated("x[", n) + "1" + repeated("]", n) + " }}",
      "{{ " + repeated("f(", n) + repeated(")", n) + " }}",
      "{{ x" + repeated("|upper", n) + " }}",
      "{{ x" + repeated(".a", n) + " }}",
      "{{ x" + repeated("[0]", n) + " }}",
      "{{ x" + repeated("()", n) + " }}",
      "{{ 1 is " + repeated("in [x is ", n) + "defined" + repeated("]", n) + " }}",
      "{{ x" + repeated(" if x", n) + " }}",
      repeated("{% if x %}", n),
      repeated("{% if x %}", n / 4) + repeated("{% endif %}", n / 4),
      repeated("{% for x in y %}", n / 4) + repeated("{% endfor %}", n / 4),
      repeated("{% macro m() %}", n / 4) + repeated("{% endmacro %}", n / 4),
      repeated("{% set x %}", n / 4) + repeated("{% endset %}", n / 4),
      repeated("{% filter upper %}", n / 8) + repeated("{% endfilter %}", n / 8),
      "{% set " + repeated("(", n) + "a" + repeated(")", n) + " = 1 %}",
      "{% for " + repeated("(", n) + "a" + repeated(")", n) + " in x %}{% endfor %}",
  };
  for (const std::string& source : sources) expect_error(source, Code::kInvalidArgument);
}

TEST_CASE("hostile chat template: long chains that do not nest still work") {
  CHECK(run("{{ 1" + repeated("+1", 100'000) + " }}").text == "100001");
  CHECK(run("{{ 1" + repeated(" and 1", 100'000) + " }}").text == "1");
  CHECK(run("{{ 'a'" + repeated("~'a'", 100'000) + " }}").text.size() == 100'001);
  CHECK(run("{% if no %}" + repeated("{% elif no %}", 50'000) + "{% else %}x{% endif %}").text ==
        "x");
  CHECK(run("{{ 1" + repeated(" < 2 > 1", 50'000) + " }}").text == "True");
}

TEST_CASE("hostile chat template: recursion of macros is bounded") {
  expect_error("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", Code::kTooLarge);
  expect_error(
      "{% macro a() %}{{ b() }}{% endmacro %}{% macro b() %}{{ a() }}{% endmacro %}{{ a() }}",
      Code::kTooLarge);
  expect_error("{% macro m(x=m()) %}{% endmacro %}{{ m() }}", Code::kTooLarge);
  expect_error(
      "{% macro m() %}{{ caller is defined }}{% call m() %}{% endcall %}{% endmacro %}{{ m() }}",
      Code::kTooLarge);
  expect_error(
      "{% macro m() %}{% for x in [1] %}{% if x %}{% filter trim %}{{ (((m()))) ~ 1 }}"
      "{% endfilter %}{% endif %}{% endfor %}{% endmacro %}{{ m() }}",
      Code::kTooLarge);
  expect_error("{% macro m() %}{{ m() }}{{ m() }}{% endmacro %}{{ m() }}", Code::kTooLarge);
  expect_error(
      "{% set ns = namespace() %}{% macro m() %}{{ ns.f() }}{% endmacro %}"
      "{% set ns.f = m %}{{ m() }}",
      Code::kTooLarge);
}

TEST_CASE("hostile chat template: sizes are bounded") {
  for (const char* expression : {
           "'a' * 10**9",
           "'a' * 10**30",
           "10**9 * 'ab'",
           "[1] * 10**9",
           "[1, 2] * 10**18",
           "'a'.center(10**9)",
           "'a'.ljust(10**12)",
           "'a'.zfill(10**15)",
           "'%1000000000d' % 1",
           "'%0999999999999999999999d' % 1",
           "'a'|indent(10**9, true)",
           "'\t'.expandtabs(10**9)",
           "('a' * 10**6)|replace('a', 'b' * 10**6)",
           "('a' * 10**6).replace('', 'b' * 10**6)",
           "('a' * 10**6)|list|join('b' * 10**6)",
           "('ab' * 10**6).split('a')|join('x' * 10**5)",
           "('\n' * 10**6)|indent('x' * 10**5, blank=true)",
           "[1]|batch(10**9, 0)|list",
           "[1]|slice(10**9)|list",
           "('a' * 10**6 * 100)",
           "'x' * (2**24 + 1)",
       })
    expect_error(std::string("{{ ") + expression + " }}", Code::kTooLarge);
  for (const char* expression :
       {"range(10**9)", "range(0, 10**18, 2)", "range(10**30)", "range(-9 * 10**18, 10**18)",
        "2**128", "10**1000", "10**10**10", "(2**126) * 4", "('1' * 50)|int", "('9' * 60)|int",
        "1e300|int", "[3, 1][::0]", "'%.99999f' % 1.0"})
    expect_error(std::string("{{ ") + expression + " }}", Code::kInvalidArgument);
  CHECK(run("{{ 'abc'[10**30:] }}{{ 'abc'[::10**30] }}{{ [1][-(10**30):] }}").text == "a[1]");
  CHECK(run("{{ (-(2**126) * 2)|string|length }}").text == "40");
}

TEST_CASE("hostile chat template: growth and loops are bounded") {
  const char* const sources[] = {
      "{% set ns = namespace(s='a') %}{% for i in range(100) %}{% set ns.s = ns.s ~ ns.s %}{% "
      "endfor %}",
      "{% set ns = namespace(l=[1]) %}{% for i in range(100) %}{% set ns.l = ns.l + ns.l %}{% "
      "endfor %}",
      "{% set ns = namespace(l=[1]) %}{% for i in range(100) %}{% set ns.l = [ns.l, ns.l] %}{% "
      "endfor %}"
      "{{ ns.l }}",
      "{% set ns = namespace(l=[1]) %}{% for i in range(60) %}{% set ns.l = [ns.l, ns.l] %}{% "
      "endfor %}"
      "{{ ns.l|tojson }}",
      "{% set ns = namespace(l=[1], m=[1]) %}{% for i in range(60) %}{% set ns.l = [ns.l, ns.l] %}"
      "{% set ns.m = [ns.m, ns.m] %}{% endfor %}{{ ns.l == ns.m }}",
      "{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}",
      "{% for i in range(100000) %}{% for j in range(100000) %}x{% endfor %}{% endfor %}",
      "{% set l = [1] %}{% for x in l %}{% set _ = l.append(x) %}{% endfor %}",
      "{% set l = [] %}{% set _ = l.append(l) %}{{ l }}",
      "{% set l = [] %}{% set _ = l.append(l) %}{{ l|tojson }}",
      "{% set l = [] %}{% set _ = l.append(l) %}{% set m = [] %}{% set _ = m.append(m) %}{{ l == m "
      "}}",
      "{% set l = [] %}{% set _ = l.append(l) %}{% set m = [] %}{% set _ = m.append(m) %}{{ l < m "
      "}}",
      "{% set l = [] %}{% set _ = l.append(l) %}{{ [l, [l]]|sort }}",
      "{% set s = 'a' * 10**6 %}{% for i in range(100000) %}{{ s[::-1]|length }}{% endfor %}",
      "{% set s = 'a' * 10**6 %}{% for i in range(100000) %}{% set t = s ~ i %}{% endfor %}",
      "{% set s = 'a' * 10**6 %}{% for i in range(100000) %}{% if s == 'a' * 10**6 %}{% endif %}"
      "{% endfor %}",
      "{% set s = 'é' * 10**6 %}{% for i in range(100000) %}{% set t = s[-1] %}{% endfor %}",
      "{% set s = 'a' * 10**6 %}{% for i in range(100000) %}{{ s.strip('a') }}{% endfor %}",
      "{% set s = ' ' * 10**6 ~ 'x' %}{% for i in range(100000) %}{{ s.strip() }}{% endfor %}",
      "{% set s = 'a' * 10**6 %}{% for i in range(100000) %}{{ s.find('b') }}{% endfor %}",
      "{% set s = 'a' * 10**6 %}{% for i in range(100000) %}{{ s.count('b') }}{% endfor %}",
      "{% set s = 'a' * 10**6 %}{% for i in range(100000) %}{{ s.isalpha() }}{% endfor %}",
      "{% set s = 'a' * 10**6 %}{% for i in range(100000) %}{{ s|wordcount }}{% endfor %}",
      "{% set s = 'a' * 10**6 %}{% for i in range(100000) %}{{ s.upper()|length }}{% endfor %}",
      "{% set s = 'a' * 10**6 %}{% for i in range(100000) %}{{ s.splitlines()|length }}{% endfor "
      "%}",
      "{% set s = 'a' * 10**6 %}{% for i in range(100000) %}{{ s.endswith('a', 5) }}{% endfor %}",
      "{% set s = 'a' * 10**6 %}{% for i in range(100000) %}{{ s.rsplit('b')|length }}{% endfor %}",
      "{% set l = range(100000)|list %}{% for i in range(100000) %}{{ 'x' in l }}{% endfor %}",
      "{% set l = range(100000)|list %}{% for i in l %}{% set m = l[:] %}{% endfor %}",
      "{% set l = range(100000)|list %}{% for i in l %}{{ l|sort|first }}{% endfor %}",
      "{{ range(100000)|map('string')|list|unique|list|length }}",
      "{% for i in range(100000) %}{{ range(100000)|length }}{% endfor %}",
      "{% set ns = namespace() %}{% for i in range(100000) %}{% set d = dict(ns.d or {}, "
      "**{i|string: 1})"
      " %}{% set ns.d = d %}{% endfor %}",
      "{% macro m() %}{% for i in range(100000) %}{{ m }}{% endfor %}{% endmacro %}"
      "{% for i in range(100000) %}{{ m() }}{% endfor %}",
  };
  for (const char* source : sources) expect_error(source, Code::kTooLarge);
}

TEST_CASE("hostile chat template: many variables do not make look-ups free") {
  std::string source;
  for (int i = 0; i < 20'000; ++i) source += "{% set v" + std::to_string(i) + " = 1 %}";
  expect_error(source + "{% for i in range(100000) %}{{ missing }}{% endfor %}", Code::kTooLarge);
}

TEST_CASE("hostile chat template: the searched text is linear, whatever the needle") {
  // Quadratic search would take 10^12 steps here.
  const std::string needle = "('a' * 10**6 ~ 'b')";
  CHECK(run("{{ " + needle + " in 'a' * 8 * 10**6 }}").text == "False");
  CHECK(run("{{ ('a' * 4 * 10**6).rfind('b' ~ 'a' * 10**6) }}").text == "-1");
}

TEST_CASE("hostile chat template: unterminated and oversized sources") {
  for (const char* source :
       {"{{", "{%", "{{ x", "{% if", "{# x", "{% raw %}x", "{{ 'x", "{{ \"x\\", "{{ x|", "{{ x.",
        "{{ x[", "{% set x = ", "{% for x in", "{{ '\\x", "{{ -"})
    expect_error(source, Code::kInvalidArgument);
  expect_error(std::string(limits::kTemplateBytesMax + 1, 'x'), Code::kTooLarge);
  CHECK(run(std::string(limits::kTemplateBytesMax, 'x')).ok);
}

TEST_CASE("hostile chat template: deep and large variables") {
  Json deep = 1;
  for (int i = 0; i < 5000; ++i) deep = Json::array({std::move(deep)});
  expect_error("{{ x }}", Code::kTooLarge, {{"x", deep}});
  Json fair = 1;
  for (int i = 0; i < 90; ++i) fair = Json::array({std::move(fair)});
  CHECK(run("{{ x|tojson == x|string }}", {{"x", fair}}).text == "True");
  const Json large = {{"s", std::string(12 << 20, 'x')}};
  CHECK(run("{{ s }}", large).text.size() == 12 << 20);
  expect_error("{{ s }}{{ s }}", Code::kTooLarge, large);
  expect_error("{{ s ~ s }}", Code::kTooLarge, large);
}

// Truncated and mutated templates: whatever happens, it ends. Sanitizer builds watch the memory.
TEST_CASE("hostile chat template: damaged templates never crash") {
  constexpr uint32_t kSeed = 20260102;
  std::cout << "damaged templates: seed " << kSeed << "\n";
  std::ifstream file(TQ_SOURCE_DIR "/tests/golden/chat_template/chats.json");
  const Json golden = Json::parse(file);
  const Json& variables = golden["variables"]["tool_calls_dict+tools_many"];
  std::mt19937 random(kSeed);
  static const std::string kBytes = "{}%#-+|.,()[]'\"\\ \n~*/=<>!aifnot01\xc3\xff";
  size_t n_rendered = 0;
  for (const auto& [name, held] : golden["templates"].items()) {
    const std::string source = held.get<std::string>();
    for (int round = 0; round < 60; ++round) {
      std::string damaged = source;
      if (round % 3 == 0) damaged.resize(random() % (damaged.size() + 1));
      for (uint32_t i = random() % 4; i > 0 && !damaged.empty(); --i) {
        const size_t at = random() % damaged.size();
        if (random() % 2 == 0)
          damaged[at] = kBytes[random() % kBytes.size()];
        else
          damaged.erase(at, random() % 12);
      }
      n_rendered += run(damaged, variables).ok ? 1 : 0;
    }
  }
  CHECK(n_rendered > 50);  // else the damage is so bad that rendering is not tried
}

}  // namespace
}  // namespace tq::models
