#include <string>
#include <utility>

#include "config/load.h"
#include "config/load_table.h"

namespace tq {
namespace {

Error contradiction(std::string where, std::string message) {
  return Error{Code::kInvalidArgument, std::move(message), std::move(where)};
}

Result<void> check_multiple(const char* flag, int value, int block_tokens) {
  if (value % block_tokens == 0) return {};
  return contradiction(flag, std::to_string(value) + " is no multiple of --kv-block, which is " +
                                 std::to_string(block_tokens));
}

Result<void> validate_kv(const KvConfig& kv) {
  if (kv.block_tokens % 32 != 0) {
    return contradiction("--kv-block", std::to_string(kv.block_tokens) + " is no multiple of 32");
  }
  TQ_TRY(check_multiple("--kv-window", kv.window_tokens, kv.block_tokens));
  TQ_TRY(check_multiple("--kv-sink", kv.sink_tokens, kv.block_tokens));
  TQ_TRY(check_multiple("--kv-seal-stride", kv.seal_stride_tokens, kv.block_tokens));
  return {};
}

Result<void> validate_engine(const EngineConfig& engine) {
  if (engine.device == "cuda" && engine.backend != "auto") {
    return contradiction("--backend", engine.backend + " contradicts --device cuda");
  }
  return validate_kv(engine.kv);
}

Result<void> validate_server(const ServerConfig& server) {
  if (server.protect_health && server.api_keys.empty()) {
    return contradiction("--protect-health", "needs --api-key or --api-key-file");
  }
  for (const std::string& key : server.api_keys) {
    constexpr size_t kKeyBytesMax = 1024;
    bool plain = !key.empty() && key.size() <= kKeyBytesMax;
    for (const char c : key) plain = plain && c > ' ' && c < 0x7f;
    if (!plain) {
      return contradiction("--api-key",
                           "a key must be 1 to 1024 printable ASCII characters without spaces");
    }
  }
  return {};
}

}  // namespace

Result<void> validate(const Settings& settings) {
  for (const load::Setting& setting : load::settings_table()) {
    if (!setting.check_range) continue;
    if (auto checked = setting.check_range(settings); !checked) {
      Error error = std::move(checked).error();
      error.where = load::flag_name(setting.name);
      return error;
    }
  }
  TQ_TRY(validate_engine(settings.engine));
  return validate_server(settings.server);
}

}  // namespace tq
