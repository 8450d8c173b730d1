#include "server/auth.h"

#include <algorithm>

namespace tq::server {
namespace {

char lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

// "Bearer KEY" -> "KEY"; anything else -> "".
std::string_view bearer_key(std::string_view header) noexcept {
  constexpr std::string_view kScheme = "bearer ";
  if (header.size() < kScheme.size()) return {};
  const bool is_bearer = std::equal(kScheme.begin(), kScheme.end(), header.begin(),
                                    [](char a, char b) { return a == lower(b); });
  if (!is_bearer) return {};
  header.remove_prefix(kScheme.size());
  while (header.starts_with(' ')) header.remove_prefix(1);
  return header;
}

}  // namespace

bool constant_time_equal(std::string_view presented, std::string_view secret) noexcept {
  if (secret.empty()) return presented.empty();
  unsigned difference = presented.size() == secret.size() ? 0u : 1u;
  for (size_t i = 0; i < presented.size(); ++i) {
    difference |= static_cast<unsigned char>(presented[i]) ^
                  static_cast<unsigned char>(secret[i % secret.size()]);
  }
  // Read through a volatile, so that no compiler leaves the loop early.
  const volatile unsigned result = difference;
  return result == 0;
}

bool is_authorized(std::string_view authorization_header,
                   std::string_view x_api_key_header,
                   const std::vector<std::string>& keys) noexcept {
  if (keys.empty()) return true;
  const std::string_view bearer = bearer_key(authorization_header);
  bool fits = false;
  for (const std::string& key : keys) {
    const bool by_bearer = constant_time_equal(bearer, key);
    const bool by_header = constant_time_equal(x_api_key_header, key);
    fits = fits | by_bearer | by_header;
  }
  return fits;
}

}  // namespace tq::server
