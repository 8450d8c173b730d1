#pragma once
// API keys: `Authorization: Bearer KEY` or `X-Api-Key: KEY`. Pure; any thread.

#include <string>
#include <string_view>
#include <vector>

namespace tq::server {

// Takes time that depends on the length of `presented` only.
bool constant_time_equal(std::string_view presented, std::string_view secret) noexcept;

// Every key is compared, whichever fits. Both headers may be empty; an empty list of keys lets all
// in.
bool is_authorized(std::string_view authorization_header,
                   std::string_view x_api_key_header,
                   const std::vector<std::string>& keys) noexcept;

}  // namespace tq::server
