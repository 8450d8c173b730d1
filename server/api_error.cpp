#include "server/api_error.h"

#include <nlohmann/json.hpp>

#include "config/limits.h"

namespace tq::server {
namespace {

// A full queue moves within a step or two; a draining server is replaced by another one.
constexpr int kOverloadedRetryMs = 1'000;
constexpr int kUnavailableRetryMs = 5'000;

// Bytes of the UTF-8 sequence at text[at], or 0 where there is no valid one.
size_t utf8_length(std::string_view text, size_t at) {
  const auto byte = [&](size_t i) {
    return at + i < text.size() ? static_cast<unsigned char>(text[at + i]) : 0u;
  };
  const auto tail = [&](size_t i) { return (byte(i) & 0xc0u) == 0x80u; };
  const unsigned lead = byte(0);
  if (lead < 0x80) return 1;
  if (lead >= 0xc2 && lead <= 0xdf) return tail(1) ? 2 : 0;
  if (lead >= 0xe0 && lead <= 0xef) {
    if (!tail(1) || !tail(2)) return 0;
    if (lead == 0xe0 && byte(1) < 0xa0) return 0;  // overlong
    if (lead == 0xed && byte(1) > 0x9f) return 0;  // surrogate
    return 3;
  }
  if (lead >= 0xf0 && lead <= 0xf4) {
    if (!tail(1) || !tail(2) || !tail(3)) return 0;
    if (lead == 0xf0 && byte(1) < 0x90) return 0;
    if (lead == 0xf4 && byte(1) > 0x8f) return 0;
    return 4;
  }
  return 0;
}

nlohmann::ordered_json error_code(const Error& error) {
  switch (error.code) {
    case Code::kContextLength: return "context_length_exceeded";
    case Code::kUnauthorized: return "invalid_api_key";
    case Code::kOverloaded: return "rate_limit_exceeded";
    case Code::kUnsupported: return "not_supported";
    case Code::kNotFound:
      if (error.where == "model") return "model_not_found";
      return nullptr;
    default: return nullptr;
  }
}

std::string body_of(std::string_view message,
                    int status,
                    const std::string& param,
                    const nlohmann::ordered_json& code) {
  nlohmann::ordered_json error = {{"message", sanitize(message)}, {"type", error_type(status)}};
  error["param"] = nullptr;
  if (!param.empty()) error["param"] = sanitize(param);
  error["code"] = code;
  const nlohmann::ordered_json body = {{"error", std::move(error)}};
  return body.dump();
}

// openai-python retries 408, 409, 429 and everything from 500 on, unless it is told otherwise.
void add_retry(int status, Headers& headers) {
  int after_ms = 0;
  if (status == 429) after_ms = kOverloadedRetryMs;
  if (status == 503) after_ms = kUnavailableRetryMs;
  if (after_ms > 0) {
    headers.emplace_back("Retry-After", std::to_string((after_ms + 999) / 1000));
    headers.emplace_back("retry-after-ms", std::to_string(after_ms));
    headers.emplace_back("x-should-retry", "true");
  } else if (status == 408 || status == 501) {
    headers.emplace_back("x-should-retry", "false");
  }
  if (status == 401) headers.emplace_back("WWW-Authenticate", "Bearer");
}

}  // namespace

int http_status(Code code) noexcept {
  switch (code) {
    case Code::kInvalidArgument: return 400;
    case Code::kContextLength: return 400;
    case Code::kUnauthorized: return 401;
    case Code::kForbidden: return 403;
    case Code::kNotFound: return 404;
    case Code::kDeadline: return 408;
    case Code::kTooLarge: return 413;
    case Code::kOverloaded: return 429;
    case Code::kCancelled: return 499;
    case Code::kUnsupported: return 501;
    case Code::kUnavailable: return 503;
    case Code::kInternal:
    case Code::kCorrupt:
    case Code::kIo: return 500;
  }
  return 500;
}

std::string_view error_type(int status) noexcept {
  switch (status) {
    case 401: return "authentication_error";
    case 403: return "permission_error";
    case 404: return "not_found_error";
    case 408: return "timeout_error";
    case 429: return "rate_limit_error";
    case 501: return "not_supported_error";
    case 503: return "unavailable_error";
    default: return status >= 500 ? "server_error" : "invalid_request_error";
  }
}

std::string sanitize(std::string_view message) {
  std::string out;
  size_t at = 0;
  while (at < message.size()) {
    const size_t n = utf8_length(message, at);
    std::string_view part = n == 0 ? std::string_view("\xef\xbf\xbd") : message.substr(at, n);
    const auto lead = static_cast<unsigned char>(part[0]);
    if (lead < 0x20 || lead == 0x7f) part = " ";
    if (out.size() + part.size() > limits::kErrorMessageBytesMax - 3) return out + "...";
    out += part;
    at += n == 0 ? 1 : n;
  }
  return out;
}

std::string error_json(const Error& error) {
  return body_of(error.message, http_status(error.code), error.where, error_code(error));
}

HttpResponse error_response(const Error& error) {
  HttpResponse response;
  response.status = http_status(error.code);
  response.body = error_json(error);
  add_retry(response.status, response.headers);
  return response;
}

HttpResponse error_response(int status, std::string_view message) {
  HttpResponse response;
  response.status = status;
  response.body = body_of(message, status, "", nullptr);
  add_retry(status, response.headers);
  return response;
}

}  // namespace tq::server
