#include "config/load_table.h"

#include <algorithm>
#include <array>
#include <fstream>
#include <limits>
#include <span>
#include <type_traits>
#include <utility>

#include "config/load_setting.h"
#include "config/load_values.h"

namespace tq::load {
namespace {

constexpr IntRange kMs{1, 86'400'000};  // up to a day

// One key a line; blank lines and lines that start with # are skipped.
Result<void> read_api_keys(Settings& settings, const std::string& path) {
  std::ifstream file(path);
  if (!file) return Error{Code::kIo, "cannot read '" + path.substr(0, 200) + "'", ""};
  constexpr size_t kKeysMax = 10'000;
  size_t n_keys = 0;
  for (std::string line; std::getline(file, line);) {
    const size_t first = line.find_first_not_of(" \t\r");
    if (first == std::string::npos || line[first] == '#') continue;
    const size_t last = line.find_last_not_of(" \t\r");
    if (++n_keys > kKeysMax) return bad("holds more than " + std::to_string(kKeysMax) + " keys");
    settings.server.api_keys.push_back(line.substr(first, last - first + 1));
  }
  if (n_keys == 0) return bad("'" + path.substr(0, 200) + "' holds no key");
  return {};
}

void add_model(std::vector<Setting>& out) {
  constexpr Group g = Group::kModel;
  out.push_back(text(
      "model", g, "PATH", "a .gguf file or a Hugging Face folder; required",
      [](auto& s) -> auto& { return s.engine.model_path; }));
  out.push_back(text(
      "served-name", g, "NAME", "name in /v1/models; default: the name of the file or folder",
      [](auto& s) -> auto& { return s.engine.served_name; }));
  out.push_back(number(
      "context", g, "tokens of prompt and completion; 0: the model's own", {0, 1 << 24},
      [](auto& s) -> auto& { return s.engine.context_max; }));
  out.push_back(choice<ComputeType>(
      "dtype", g, "weights in memory; auto: the file's Q4_0, Q4_1 and Q8_0 as they are, else bf16",
      {{"auto", ComputeType::kAuto}, {"f32", ComputeType::kF32}, {"bf16", ComputeType::kBf16}},
      [](auto& s) -> auto& { return s.engine.dtype; }));
}

Setting kv_formats() {
  Setting s{.name = "kv", .group = Group::kKv, .value_name = "FORMAT"};
  s.help = "codes of sealed blocks: " + kv_format_names();
  s.set = [](Settings& settings, const std::string& value) -> Result<void> {
    auto formats = parse_kv_formats(value.substr(0, 80));
    if (!formats) return bad(formats.error().message);
    settings.engine.kv.formats = *formats;
    return {};
  };
  s.get = [](const Settings& settings) { return to_string(settings.engine.kv.formats); };
  return s;
}

Setting kv_bits() {
  Setting s{.name = "bits", .group = Group::kKv, .value_name = "N"};
  s.help = "short for --kv tqN, the best pair at N bits (2, 3, 4 or 8); contradicts --kv";
  s.shape = Shape::kNumber;
  s.set = [](Settings& settings, const std::string& value) -> Result<void> {
    TQ_ASSIGN(const int64_t bits, parse_int(value, {2, 8}));
    if (bits > 4 && bits < 8) return bad("must be 2, 3, 4 or 8, not " + std::to_string(bits));
    TQ_ASSIGN(settings.engine.kv.formats, parse_kv_formats("tq" + std::to_string(bits)));
    return {};
  };
  s.get = [](const Settings&) { return std::string(); };
  return s;
}

void add_kv(std::vector<Setting>& out) {
  constexpr Group g = Group::kKv;
  constexpr IntRange kTokens{0, 1 << 20};
  out.push_back(kv_formats());
  out.push_back(kv_bits());
  out.push_back(size(
      "kv-memory", g, "bytes of both KV pools; auto: a share of free memory", {0, int64_t{1} << 50},
      [](auto& s) -> auto& { return s.engine.kv.budget_bytes; }));
  out.push_back(number(
      "kv-block", g, "tokens of a block, a multiple of 32", {32, 4096},
      [](auto& s) -> auto& { return s.engine.kv.block_tokens; }));
  out.push_back(number(
      "kv-window", g, "last tokens that stay 16 bit, a multiple of --kv-block", kTokens,
      [](auto& s) -> auto& { return s.engine.kv.window_tokens; }));
  out.push_back(number(
      "kv-sink", g, "first tokens that stay 16 bit, a multiple of --kv-block", kTokens,
      [](auto& s) -> auto& { return s.engine.kv.sink_tokens; }));
  out.push_back(number(
      "kv-seal-stride", g, "blocks are sealed every so many tokens, a multiple of --kv-block",
      {32, 1 << 20}, [](auto& s) -> auto& { return s.engine.kv.seal_stride_tokens; }));
  out.push_back(choice<RotationKind>(
      "kv-rotation", g, "transform of rows before they are coded",
      {{"auto", RotationKind::kAuto},
       {"hadamard", RotationKind::kHadamard},
       {"qr", RotationKind::kQr}},
      [](auto& s) -> auto& { return s.engine.kv.rotation; }));
  Setting seed{.name = "kv-seed", .group = g, .value_name = "N"};
  seed.help = "seed of the rotations, decimal or 0x...; same seed, same codes";
  seed.shape = Shape::kNumber;
  seed.set = [](Settings& s, const std::string& value) -> Result<void> {
    TQ_ASSIGN(s.engine.kv.seed, parse_seed(value));
    return {};
  };
  seed.get = [](const Settings& s) { return std::to_string(s.engine.kv.seed); };
  out.push_back(std::move(seed));
  out.push_back(toggle(
      "prefix-cache", g, "share the blocks of equal prompt prefixes",
      [](auto& s) -> auto& { return s.engine.kv.prefix_cache; }));
}

Setting swap_space() {
  Setting s = size(
      "swap-space", Group::kEngine,
      "ordinary memory for the KV of sequences that a device has no room for; 0: they are "
      "computed anew",
      {0, int64_t{1} << 50}, [](auto& of) -> auto& { return of.engine.swap_bytes; });
  s.set = [set_bytes = s.set](Settings& of, const std::string& value) -> Result<void> {
    if (value != "auto") return set_bytes(of, value);
    of.engine.swap_bytes = EngineConfig{}.swap_bytes;
    return {};
  };
  s.get = [get_bytes = s.get](const Settings& of) {
    return of.engine.swap_bytes == 0 ? "0" : get_bytes(of);
  };
  return s;
}

void add_engine(std::vector<Setting>& out) {
  constexpr Group g = Group::kEngine;
  out.push_back(choice<std::string>(
      "device", g, "where the model runs; auto: cuda where there is a device that can",
      words({"auto", "cpu", "cuda"}), [](auto& s) -> auto& { return s.engine.device; }));
  out.push_back(choice<std::string>(
      "backend", g, "kernels on the CPU; auto: the best supported",
      words({"auto", "scalar", "avx2", "avx512", "neon"}),
      [](auto& s) -> auto& { return s.engine.backend; }));
  out.push_back(fraction(
      "gpu-memory-utilization", g, "share of a device's memory for weights, KV and activations",
      [](auto& s) -> auto& { return s.engine.gpu_memory_utilization; }));
  out.push_back(swap_space());
  out.push_back(number(
      "threads", g, "compute threads; 0: the cores this process may use", {0, 1024},
      [](auto& s) -> auto& { return s.engine.threads; }));
  out.push_back(number(
      "seqs-max", g, "sequences that run at once", {1, 4096},
      [](auto& s) -> auto& { return s.engine.seqs_max; }));
  out.push_back(number(
      "queue-max", g, "requests that wait; more get 429", {1, 1 << 20},
      [](auto& s) -> auto& { return s.engine.queue_max; }));
  out.push_back(number(
      "step-tokens", g, "token budget of one step", {1, 1 << 20},
      [](auto& s) -> auto& { return s.engine.step_tokens_max; }));
  out.push_back(number(
      "queue-ms", g, "a request that waited longer ends with 503", kMs,
      [](auto& s) -> auto& { return s.engine.queue_ms_max; }));
}

void add_server(std::vector<Setting>& out) {
  constexpr Group g = Group::kServer;
  out.push_back(text(
      "host", g, "ADDRESS", "address to listen on; 0.0.0.0 or :: for all",
      [](auto& s) -> auto& { return s.server.host; }));
  out.push_back(number(
      "port", g, "TCP port; 0: any free one, printed", {0, 65535},
      [](auto& s) -> auto& { return s.server.port; }));
  out.push_back(number(
      "io-threads", g, "threads for HTTP, JSON and tokenising", {2, 256},
      [](auto& s) -> auto& { return s.server.io_threads; }));
  Setting keys = list(
      "api-key", "KEY",
      "a key that clients must send; repeatable; other users of "
      "the machine see flags: prefer --api-key-file",
      [](auto& s) -> auto& { return s.server.api_keys; });
  keys.is_secret = true;
  out.push_back(std::move(keys));
  Setting key_file{.name = "api-key-file", .group = g, .value_name = "FILE"};
  key_file.help = "file of keys, one a line, added to --api-key";
  key_file.is_secret = true;
  key_file.set = read_api_keys;
  key_file.get = [](const Settings&) { return std::string(); };
  out.push_back(std::move(key_file));
  out.push_back(toggle(
      "protect-health", g, "/health, /ready and /metrics ask for the key as well",
      [](auto& s) -> auto& { return s.server.protect_health; }));
  out.push_back(list(
      "cors-origin", "ORIGIN", "origin that browsers may call from, or *; repeatable",
      [](auto& s) -> auto& { return s.server.cors_origins; }));
}

void add_limits(std::vector<Setting>& out) {
  constexpr Group g = Group::kLimits;
  out.push_back(size(
      "body-max", g, "bytes of a request body (1KiB..1GiB); more get 413", {1 << 10, 1 << 30},
      [](auto& s) -> auto& { return s.server.body_bytes_max; }));
  out.push_back(number(
      "connections-max", g, "open connections; more get 503", {1, 1 << 20},
      [](auto& s) -> auto& { return s.server.connections_max; }));
  out.push_back(number(
      "header-ms", g, "time for a complete request header", kMs,
      [](auto& s) -> auto& { return s.server.header_ms_max; }));
  out.push_back(number(
      "body-ms", g, "time for a complete request body", kMs,
      [](auto& s) -> auto& { return s.server.body_ms_max; }));
  out.push_back(number(
      "idle-ms", g, "a kept connection without a request is closed", kMs,
      [](auto& s) -> auto& { return s.server.idle_ms_max; }));
  out.push_back(number(
      "write-ms", g, "time for one write; slower clients are dropped", kMs,
      [](auto& s) -> auto& { return s.server.write_ms_max; }));
  out.push_back(number(
      "request-ms", g, "time for a whole request", kMs,
      [](auto& s) -> auto& { return s.server.request_ms_max; }));
  out.push_back(number(
      "ping-ms", g, "a silent stream gets a comment so often", kMs,
      [](auto& s) -> auto& { return s.server.ping_ms; }));
  out.push_back(number(
      "drain-ms", g, "running requests may finish so long after SIGTERM", {0, kMs.max},
      [](auto& s) -> auto& { return s.server.drain_ms_max; }));
}

std::vector<Setting> make_table() {
  std::vector<Setting> out;
  add_model(out);
  add_kv(out);
  add_engine(out);
  add_server(out);
  add_limits(out);
  out.push_back(choice<std::string>(
      "log-level", Group::kLogging, "what goes to stderr",
      words({"trace", "debug", "info", "warning", "error", "off"}),
      [](auto& s) -> auto& { return s.server.log_level; }));
  Setting dry = toggle(
      "dry-run", Group::kEngine, "print the memory plan and exit",
      [](auto& s) -> auto& { return s.dry_run; });
  out.push_back(std::move(dry));
  return out;
}

}  // namespace

std::string_view to_string(Group group) noexcept {
  switch (group) {
    case Group::kModel: return "Model";
    case Group::kKv: return "KV cache";
    case Group::kEngine: return "Engine";
    case Group::kServer: return "Server";
    case Group::kLimits: return "Limits";
    case Group::kLogging: return "Logging";
  }
  return "";
}

const std::vector<Setting>& settings_table() {
  static const std::vector<Setting> table = make_table();
  return table;
}

const Setting* find_setting(std::string_view name) {
  for (const Setting& setting : settings_table()) {
    if (setting.name == name) return &setting;
  }
  return nullptr;
}

std::string flag_name(std::string_view name) { return "--" + std::string(name); }

std::string environment_name(std::string_view name) {
  std::string out = "TURBOQUANT_";
  for (const char c : name) out += c == '-' ? '_' : static_cast<char>(c - (c >= 'a' ? 32 : 0));
  return out;
}

}  // namespace tq::load
