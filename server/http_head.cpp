#include "server/http_head.h"

#include <algorithm>
#include <array>
#include <boost/beast/http/status.hpp>
#include <charconv>
#include <ctime>

namespace tq::server {
namespace {

std::string reason(int status) {
  if (status == 499) return "Client Closed Request";
  const auto known = boost::beast::http::int_to_status(static_cast<unsigned>(status));
  const auto text = boost::beast::http::obsolete_reason(known);
  return std::string(text.data(), text.size());
}

std::string http_date() {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  gmtime_r(&now, &utc);
  std::array<char, 40> text{};
  const size_t n = std::strftime(text.data(), text.size(), "%a, %d %b %Y %H:%M:%S GMT", &utc);
  return std::string(text.data(), n);
}

void line(std::string& out, std::string_view name, std::string_view value) {
  out.append(name).append(": ").append(value).append("\r\n");
}

}  // namespace

std::string make_head(const HeadOptions& options, const Headers& headers) {
  std::string out = "HTTP/1.1 " + std::to_string(options.status) + " " + reason(options.status);
  out += "\r\n";
  line(out, "Server", "turboquant-server");
  line(out, "Date", http_date());
  if (!options.content_type.empty()) line(out, "Content-Type", options.content_type);
  if (options.content_length) line(out, "Content-Length", std::to_string(*options.content_length));
  if (options.chunked) line(out, "Transfer-Encoding", "chunked");
  if (options.close) {
    line(out, "Connection", "close");
  } else if (options.old_keep_alive) {
    line(out, "Connection", "keep-alive");
  }
  for (const auto& [name, value] : headers) line(out, name, value);
  out += "\r\n";
  return out;
}

void append_chunk(std::string& out, std::string_view bytes) {
  std::array<char, 17> size{};
  const auto [end, ec] = std::to_chars(size.data(), size.data() + size.size(), bytes.size(), 16);
  out.append(size.data(), end).append("\r\n").append(bytes).append("\r\n");
}

Headers cors_headers(std::string_view origin, const std::vector<std::string>& allowed) {
  if (origin.empty() || allowed.empty()) return {};
  const bool any = std::find(allowed.begin(), allowed.end(), "*") != allowed.end();
  const bool named = std::find(allowed.begin(), allowed.end(), origin) != allowed.end();
  if (!any && !named) return {{"Vary", "Origin"}};
  return {{"Access-Control-Allow-Origin", any ? "*" : std::string(origin)},
          {"Vary", "Origin"},
          {"Access-Control-Expose-Headers", "x-request-id, Retry-After, retry-after-ms"}};
}

}  // namespace tq::server
