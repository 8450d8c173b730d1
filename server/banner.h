#pragma once
// What the program prints when it is ready: where it listens, and a command to paste. Pure.

#include <cstdint>
#include <string>

namespace tq::server {

struct BannerFacts {
  std::string host;
  uint16_t port = 0;
  std::string model_name;
  std::string backend;
  bool needs_key = false;
  bool is_chat = true;
};

std::string base_url(const std::string& host, uint16_t port);  // of a client on this machine
std::string ready_banner(const BannerFacts& facts);

}  // namespace tq::server
