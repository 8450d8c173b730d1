#pragma once
// The process's one logger: spdlog to stderr, so that stdout stays free for output that is asked
// for. init_log() once in main; tq::log() afterwards from any thread. Prompts and completions are
// never logged.

#include <spdlog/spdlog.h>

#include <string_view>

#include "config/result.h"

namespace tq {

// level: trace, debug, info, warning, error, off. Anything else is an error that lists them.
Result<void> init_log(std::string_view level);

spdlog::logger& log() noexcept;

}  // namespace tq
