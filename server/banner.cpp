#include "server/banner.h"

#include <nlohmann/json.hpp>

#include "config/version.h"
#include "server/openai_response.h"

namespace tq::server {
namespace {

std::string shell_quoted(const std::string& text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'') {
      out += "'\\''";
    } else {
      out += c;
    }
  }
  return out + "'";
}

}  // namespace

std::string base_url(const std::string& host, uint16_t port) {
  std::string name = host;
  if (host == "0.0.0.0") name = "127.0.0.1";
  if (host == "::") name = "::1";
  if (name.find(':') != std::string::npos) name = "[" + name + "]";
  return "http://" + name + ":" + std::to_string(port);
}

std::string ready_banner(const BannerFacts& facts) {
  const std::string url = base_url(facts.host, facts.port);
  Json body = {{"model", facts.model_name}, {"stream", true}};
  if (facts.is_chat) {
    body["messages"] = Json::array({Json{{"role", "user"}, {"content", "Tell me a short story."}}});
  } else {
    body["prompt"] = "Once upon a time";
  }
  std::string out = "turboquant-server " + std::string(version()) + ": " + facts.model_name +
                    ", attention " + facts.backend + "\nlistening on " + url + "\n\n";
  out += "curl -N " + url + (facts.is_chat ? "/v1/chat/completions" : "/v1/completions");
  out += " -H 'Content-Type: application/json'";
  if (facts.needs_key) out += " -H \"Authorization: Bearer $KEY\"";
  return out + " -d " + shell_quoted(dump(body)) + "\n\n";
}

}  // namespace tq::server
