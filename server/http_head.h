#pragma once
// The head of an answer as text, and the framing of streamed bodies. Written by hand rather than
// with Beast's serializer, so that head and first events leave in one write. Pure; any thread.

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "server/api_error.h"

namespace tq::server {

struct HeadOptions {
  int status = 200;
  std::string content_type{};              // empty: none
  std::optional<size_t> content_length{};  // absent: a stream
  bool chunked = false;
  bool close = false;           // the connection ends after this answer
  bool old_keep_alive = false;  // HTTP/1.0 wants to be told
};

std::string make_head(const HeadOptions& options, const Headers& headers);

// One chunk of a chunked body; `bytes` is not empty. The last chunk is kLastChunk.
void append_chunk(std::string& out, std::string_view bytes);
inline constexpr std::string_view kLastChunk = "0\r\n\r\n";
inline constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";

// What a browser may do: headers for an answer to `origin`, which may be empty or not allowed.
Headers cors_headers(std::string_view origin, const std::vector<std::string>& allowed);

}  // namespace tq::server
