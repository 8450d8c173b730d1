#pragma once
// ServerConfig: limits and choices of the HTTP front end. Plain value, filled by config/load.h,
// read-only afterwards. Times in milliseconds.

#include <cstdint>
#include <string>
#include <vector>

namespace tq {

struct ServerConfig {
  std::string host = "127.0.0.1";
  uint16_t port = 8000;               // 0: any free port, printed
  int io_threads = 2;                 // at least 2: parsing and tokenising run there
  std::vector<std::string> api_keys;  // empty: no authentication
  bool protect_health = false;        // /health, /ready and /metrics ask for the key as well
  std::vector<std::string> cors_origins;

  uint64_t body_bytes_max = 16ull << 20;
  int connections_max = 1024;
  int header_ms_max = 10'000;  // from accept, or the last answer, to a complete header
  int body_ms_max = 30'000;
  int idle_ms_max = 75'000;      // keep-alive
  int write_ms_max = 30'000;     // one write; a client that reads slower is dropped
  int request_ms_max = 600'000;  // whole request; streams end with an error event
  int ping_ms = 15'000;          // SSE keep-alive comment on a silent stream
  int drain_ms_max = 30'000;     // SIGTERM: running requests may finish for so long

  std::string log_level = "info";
};

}  // namespace tq
