// What main prints and finds out at the start.

#include <catch2/catch.hpp>

#include "models/model_text.h"
#include "server/banner.h"
#include "server/machine.h"

using namespace tq;
using namespace tq::server;

TEST_CASE("available memory is the kernel's, or what the control group leaves") {
  const std::string meminfo = "MemTotal:  900 kB\nMemAvailable:     200 kB\nBuffers: 1 kB\n";
  REQUIRE(available_memory({.meminfo = meminfo, .limit = "", .used = ""}) == 200 * 1024);
  REQUIRE(available_memory({.meminfo = meminfo, .limit = "max\n", .used = "5\n"}) == 200 * 1024);
  REQUIRE(available_memory({.meminfo = meminfo, .limit = "9000\n", .used = "5000\n"}) == 4000);
  REQUIRE(available_memory({.meminfo = meminfo, .limit = "5\n", .used = "9\n"}) == 0);
  REQUIRE(available_memory({.meminfo = "", .limit = "", .used = ""}) == 0);
  REQUIRE(available_memory() > 0);
}

TEST_CASE("the banner has an address that works and a command that survives the shell") {
  REQUIRE(base_url("0.0.0.0", 80) == "http://127.0.0.1:80");
  REQUIRE(base_url("::", 80) == "http://[::1]:80");
  REQUIRE(base_url("::1", 80) == "http://[::1]:80");
  const std::string text = ready_banner({.host = "127.0.0.1",
                                         .port = 8000,
                                         .model_name = "it's",
                                         .backend = "avx2",
                                         .needs_key = true,
                                         .is_chat = true});
  REQUIRE(text.find("listening on http://127.0.0.1:8000\n") != std::string::npos);
  REQUIRE(text.find("curl -N http://127.0.0.1:8000/v1/chat/completions") != std::string::npos);
  REQUIRE(text.find(R"(-d '{"model":"it'\''s","stream":true)") != std::string::npos);
  REQUIRE(text.find("Authorization: Bearer $KEY") != std::string::npos);
}

TEST_CASE("a model without words is an error that names the path") {
  for (const char* path : {"/nonexistent", "/nonexistent.gguf", "/tmp"}) {
    const auto tokenizer = models::load_tokenizer(path);
    INFO(path);
    REQUIRE_FALSE(tokenizer.ok());
    REQUIRE(tokenizer.error().where.find(path) != std::string::npos);
  }
  REQUIRE(*models::load_chat_template("") == nullptr);
  REQUIRE_FALSE(models::load_chat_template("{% if %}").ok());
}
