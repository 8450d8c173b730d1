#pragma once
// Error -> what the client sees: HTTP status, OpenAI's error object, and headers that tell whether
// and when to try again. Pure; any thread.

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/result.h"

namespace tq::server {

using Headers = std::vector<std::pair<std::string, std::string>>;

// An answer that is sent whole.
struct HttpResponse {
  int status = 200;
  std::string content_type = "application/json";
  std::string body;
  Headers headers;  // further ones
};

int http_status(Code code) noexcept;

// "invalid_request_error" and so on, by status.
std::string_view error_type(int status) noexcept;

// Valid UTF-8 of at most limits::kErrorMessageBytesMax bytes, control characters replaced: what a
// message may quote from a request is never trusted.
std::string sanitize(std::string_view message);

// {"error":{"message","type","param","code"}}. param is error.where, or null.
std::string error_json(const Error& error);

// Status, body, Retry-After and retry-after-ms (429, 503), x-should-retry.
HttpResponse error_response(const Error& error);

// For statuses that no Code names (405, 415, 417, 431).
HttpResponse error_response(int status, std::string_view message);

}  // namespace tq::server
