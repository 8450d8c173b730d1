#pragma once
// Client: a raw HTTP client on a blocking socket, every wait bounded. Deliberately not Beast, so
// that what the server writes is read by other code than what it was written with. One thread.

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tq::test {

inline constexpr const char* kChat = "/v1/chat/completions";

struct Answer {
  int status = 0;                              // 0: no complete answer came
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;                            // chunks joined
};

class Client {
 public:
  explicit Client(uint16_t port, int receive_buffer_bytes = 0);
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  bool is_connected() const noexcept { return fd_ >= 0; }
  bool send(std::string_view bytes);  // false: the server closed
  void half_close();
  void close();

  // The next answer on the connection. head_only: to a HEAD request.
  Answer read_answer(bool head_only = false);
  // Status line and headers only; the body follows with read_event().
  Answer read_head();
  // The next "data: ..." payload of a chunked stream; nullopt at its end, or after `patience`.
  std::optional<std::string> read_event(
      std::chrono::milliseconds patience = std::chrono::seconds(20));
  // True: the server closed, after at most `patience` (what it still sends is dropped).
  bool read_until_closed(std::chrono::milliseconds patience = std::chrono::seconds(20));
  // Everything that has come so far through read_event(), comments included.
  const std::string& stream_text() const noexcept { return stream_text_; }

 private:
  bool fill(std::chrono::steady_clock::time_point until);  // more bytes into buffer_
  std::optional<std::string> take_line();
  std::optional<std::string> take(size_t n);
  std::optional<std::string> take_chunk();  // "" for the last
  std::string read_body(const Answer& answer);

  int fd_ = -1;
  std::string buffer_;
  std::string events_;       // decoded stream not yet split
  std::string stream_text_;  // all of it
  bool stream_ended_ = false;
  std::chrono::steady_clock::time_point until_;
};

// A request with Content-Length; `headers` are whole lines, each ending in \r\n.
std::string http_request(std::string_view method,
                         std::string_view target,
                         std::string_view body = "",
                         std::string_view headers = "");

// One request on a connection of its own.
Answer http_call(uint16_t port,
                 std::string_view method,
                 std::string_view target,
                 std::string_view body = "",
                 std::string_view headers = "");

}  // namespace tq::test
