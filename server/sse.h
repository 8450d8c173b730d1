#pragma once
// Server-sent events, the few lines of the format that clients agree on: one `data:` line per
// event, never `id:`, `retry:` or an empty `data:`; a keep-alive is a comment with a single
// newline, since two break some clients. Pure; any thread.

#include <string>
#include <string_view>

namespace tq::server {

inline constexpr std::string_view kSseContentType = "text/event-stream; charset=utf-8";
inline constexpr std::string_view kSseDone = "data: [DONE]\n\n";
inline constexpr std::string_view kSsePing = ": ping\n";

// json holds no raw newline, as any JSON text without whitespace.
inline void append_event(std::string& out, std::string_view json) {
  out.append("data: ").append(json).append("\n\n");
}

}  // namespace tq::server
