#include "server/machine.h"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <optional>
#include <sstream>
#include <string_view>

namespace tq::server {
namespace {

std::string text_of(const char* path) {
  std::ifstream file(path);
  std::ostringstream text;
  if (file) text << file.rdbuf();
  return text.str();
}

std::optional<uint64_t> number_at(std::string_view text) {
  while (text.starts_with(' ')) text.remove_prefix(1);
  uint64_t value = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (ec != std::errc()) return std::nullopt;
  return value;
}

std::string first_text_of(const char* first, const char* second) {
  std::string text = text_of(first);
  return text.empty() ? text_of(second) : text;
}

}  // namespace

uint64_t available_memory(const MemoryTexts& texts) {
  uint64_t available = 0;
  constexpr std::string_view kKey = "MemAvailable:";
  const size_t at = texts.meminfo.find(kKey);
  if (at != std::string::npos) {
    const auto kib = number_at(std::string_view(texts.meminfo).substr(at + kKey.size()));
    available = kib.value_or(0) * 1024;
  }
  const auto limit = number_at(texts.limit);  // "max" is no number
  const auto used = number_at(texts.used);
  if (!limit || !used) return available;
  const uint64_t left = *limit > *used ? *limit - *used : 0;
  return available == 0 ? left : std::min(available, left);
}

uint64_t available_memory() {
  return available_memory({.meminfo = text_of("/proc/meminfo"),
                           .limit = first_text_of("/sys/fs/cgroup/memory.max",
                                                  "/sys/fs/cgroup/memory/memory.limit_in_bytes"),
                           .used = first_text_of("/sys/fs/cgroup/memory.current",
                                                 "/sys/fs/cgroup/memory/memory.usage_in_bytes")});
}

}  // namespace tq::server
