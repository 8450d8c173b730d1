#pragma once
// The version of the project, as CMake's project() states it. Any thread.

#include <string_view>

namespace tq {

std::string_view version() noexcept;  // "0.1.0"

}  // namespace tq
