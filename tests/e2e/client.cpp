#include "tests/e2e/client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>

namespace tq::test {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::seconds kPatience{20};  // sanitizers on a busy machine are slow

}  // namespace

Client::Client(uint16_t port, int receive_buffer_bytes) {
  fd_ = ::socket(AF_INET, SOCK_STREAM, 0);
  if (receive_buffer_bytes > 0) {
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_buffer_bytes, sizeof(receive_buffer_bytes));
  }
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) close();
}

Client::~Client() { close(); }

void Client::close() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

void Client::half_close() { ::shutdown(fd_, SHUT_WR); }

bool Client::send(std::string_view bytes) {
  const auto until = Clock::now() + kPatience;
  while (!bytes.empty() && Clock::now() < until) {
    pollfd ready{fd_, POLLOUT, 0};
    if (::poll(&ready, 1, 100) == 0) continue;
    const ssize_t n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0) return false;
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  return bytes.empty();
}

bool Client::fill(Clock::time_point until) {
  if (fd_ < 0) return false;
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - Clock::now());
  if (left.count() <= 0) return false;
  pollfd ready{fd_, POLLIN, 0};
  if (::poll(&ready, 1, static_cast<int>(left.count())) <= 0) return false;
  std::array<char, 16384> bytes{};
  const ssize_t n = ::recv(fd_, bytes.data(), bytes.size(), 0);
  if (n <= 0) return false;
  buffer_.append(bytes.data(), static_cast<size_t>(n));
  return true;
}

std::optional<std::string> Client::take_line() {
  size_t end = buffer_.find("\r\n");
  while (end == std::string::npos) {
    if (!fill(until_)) return std::nullopt;
    end = buffer_.find("\r\n");
  }
  std::string line = buffer_.substr(0, end);
  buffer_.erase(0, end + 2);
  return line;
}

std::optional<std::string> Client::take(size_t n) {
  while (buffer_.size() < n) {
    if (!fill(until_)) return std::nullopt;
  }
  std::string bytes = buffer_.substr(0, n);
  buffer_.erase(0, n);
  return bytes;
}

std::optional<std::string> Client::take_chunk() {
  // Looked at before taken, so that a chunk that is not complete in time stays for the next call.
  size_t end = buffer_.find("\r\n");
  while (end == std::string::npos) {
    if (!fill(until_)) return std::nullopt;
    end = buffer_.find("\r\n");
  }
  const size_t size = std::stoul(buffer_.substr(0, end), nullptr, 16);
  const size_t whole = end + 2 + size + 2;
  while (buffer_.size() < whole) {
    if (!fill(until_)) return std::nullopt;
  }
  std::string bytes = buffer_.substr(end + 2, size);
  buffer_.erase(0, whole);
  return bytes;
}

Answer Client::read_head() {
  until_ = Clock::now() + kPatience;
  Answer answer;
  const auto status = take_line();
  if (!status || status->size() < 12 || !status->starts_with("HTTP/1.1 ")) return answer;
  while (true) {
    const auto line = take_line();
    if (!line) return answer;
    if (line->empty()) break;
    const size_t colon = line->find(": ");
    if (colon == std::string::npos) return answer;
    std::string name = line->substr(0, colon);
    std::transform(name.begin(), name.end(), name.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    answer.headers[name] = line->substr(colon + 2);
  }
  answer.status = std::stoi(status->substr(9, 3));
  stream_ended_ = false;
  return answer;
}

std::string Client::read_body(const Answer& answer) {
  if (answer.headers.contains("transfer-encoding")) {
    std::string body;
    while (true) {
      const auto chunk = take_chunk();
      if (!chunk || chunk->empty()) return body;
      body += *chunk;
    }
  }
  const auto length = answer.headers.find("content-length");
  if (length != answer.headers.end()) return take(std::stoul(length->second)).value_or("");
  while (fill(until_)) {
  }
  std::string rest;
  rest.swap(buffer_);
  return rest;
}

Answer Client::read_answer(bool head_only) {
  Answer answer = read_head();
  if (answer.status == 0 || answer.status == 100 || answer.status == 204 || head_only) {
    return answer;
  }
  answer.body = read_body(answer);
  return answer;
}

std::optional<std::string> Client::read_event(std::chrono::milliseconds patience) {
  until_ = Clock::now() + patience;
  while (true) {
    const size_t end = events_.find('\n');
    if (end != std::string::npos) {
      const std::string line = events_.substr(0, end);
      events_.erase(0, end + 1);
      if (line.starts_with("data: ")) return line.substr(6);
      continue;
    }
    if (stream_ended_) return std::nullopt;
    const auto chunk = take_chunk();
    if (!chunk) return std::nullopt;
    if (chunk->empty()) stream_ended_ = true;
    events_ += *chunk;
    stream_text_ += *chunk;
  }
}

bool Client::read_until_closed(std::chrono::milliseconds patience) {
  const auto until = Clock::now() + patience;
  while (Clock::now() < until) {
    if (!fill(until)) break;
    buffer_.clear();
  }
  return Clock::now() < until;
}

std::string http_request(std::string_view method,
                         std::string_view target,
                         std::string_view body,
                         std::string_view headers) {
  std::string out;
  out.append(method).append(" ").append(target).append(" HTTP/1.1\r\nHost: localhost\r\n");
  out.append(headers);
  if (!body.empty()) out += "Content-Length: " + std::to_string(body.size()) + "\r\n";
  out.append("\r\n").append(body);
  return out;
}

Answer http_call(uint16_t port,
                 std::string_view method,
                 std::string_view target,
                 std::string_view body,
                 std::string_view headers) {
  Client client(port);
  client.send(http_request(method, target, body, headers));
  return client.read_answer(method == "HEAD");
}

}  // namespace tq::test
