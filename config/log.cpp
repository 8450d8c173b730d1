#include "config/log.h"

#include <spdlog/sinks/stdout_color_sinks.h>

#include <memory>
#include <string>

namespace tq {
namespace {

std::shared_ptr<spdlog::logger> make_logger() {
  auto logger = std::make_shared<spdlog::logger>(
      "tq", std::make_shared<spdlog::sinks::stderr_color_sink_mt>());
  logger->set_pattern("%Y-%m-%dT%H:%M:%S.%e %^%L%$ [%t] %v");
  return logger;
}

}  // namespace

spdlog::logger& log() noexcept {
  static const std::shared_ptr<spdlog::logger> logger = make_logger();
  return *logger;
}

Result<void> init_log(std::string_view level) {
  const std::string name(level);
  const auto parsed = spdlog::level::from_str(name);
  if (parsed == spdlog::level::off && name != "off") {  // from_str() maps every unknown name to off
    return Error{Code::kInvalidArgument,
                 "unknown level '" + name + "'; one of trace, debug, info, warning, error, off",
                 "--log-level"};
  }
  log().set_level(parsed);
  return {};
}

}  // namespace tq
