#include "config/load.h"

#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "config/load_table.h"

using namespace tq;
using Texts = std::vector<std::string>;

namespace {

// A file that lives as long as the test.
class TempFile {
 public:
  explicit TempFile(const std::string& content) {
    static int n = 0;
    path_ = std::filesystem::temp_directory_path() /
            ("tq_load_test_" + std::to_string(::getpid()) + "_" + std::to_string(n++) + ".json");
    std::ofstream(path_) << content;
  }
  ~TempFile() { std::filesystem::remove(path_); }
  std::string path() const { return path_.string(); }

 private:
  std::filesystem::path path_;
};

Settings must_load(Texts arguments, const Texts& environment = {}) {
  arguments.insert(arguments.begin(), {"--model", "m.gguf"});
  auto outcome = load_settings(arguments, environment);
  INFO((outcome.ok() ? std::string() : outcome.error().describe()));
  REQUIRE(outcome.ok());
  return outcome->settings;
}

Error must_fail(Texts arguments, const Texts& environment = {}) {
  arguments.insert(arguments.begin(), {"--model", "m.gguf"});
  auto outcome = load_settings(arguments, environment);
  REQUIRE_FALSE(outcome.ok());
  return outcome.error();
}

bool holds(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("the Python original's command line works") {
  const Settings s = must_load({"--bits", "4", "--port", "8001"});
  REQUIRE(s.engine.model_path == "m.gguf");
  REQUIRE(s.engine.kv.formats == KvFormats{KvFormat::kTq4, KvFormat::kTq4});
  REQUIRE(s.server.port == 8001);
  REQUIRE(must_load({"--bits=2"}).engine.kv.formats == KvFormats{KvFormat::kTq2, KvFormat::kTq2});
  REQUIRE(must_load({"--bits=8"}).engine.kv.formats == KvFormats{KvFormat::kTq8, KvFormat::kTq8});
  for (const char* bits : {"1", "5", "7", "9"}) {
    const Error error = must_fail({"--bits", bits});
    REQUIRE(holds(error.describe(), "--bits"));
    REQUIRE(holds(error.describe(), "8"));
  }
}

TEST_CASE("presets name pairs of formats") {
  REQUIRE(must_load({}).engine.kv.formats == must_load({"--kv", "balanced"}).engine.kv.formats);
  for (const KvPreset& preset : kv_presets()) {
    REQUIRE(must_load({"--kv", std::string(preset.name)}).engine.kv.formats == preset.formats);
  }
  const Error error = must_fail({"--kv", "best"});
  for (const char* known : {"tq8", "tq4/tq3", "quality", "balanced", "small"}) {
    REQUIRE(holds(error.describe(), known));
  }
}

// tidy-allow(lengths): one list of flags, of which the formatter puts each word on a line.
TEST_CASE("every flag reaches its field") {
  const Settings s = must_load({"--kv",
                                "tq4/tq3",
                                "--kv-memory",
                                "2GiB",
                                "--kv-window",
                                "192",
                                "--kv-sink",
                                "32",
                                "--kv-seed",
                                "7",
                                "--kv-rotation",
                                "qr",
                                "--prefix-cache",
                                "off",
                                "--dtype",
                                "f32",
                                "--threads",
                                "3",
                                "--backend",
                                "scalar",
                                "--device",
                                "cpu",
                                "--context",
                                "1024",
                                "--seqs-max",
                                "5",
                                "--queue-max",
                                "6",
                                "--step-tokens",
                                "77",
                                "--gpu-memory-utilization",
                                "0.75",
                                "--swap-space",
                                "3GiB",
                                "--host",
                                "::1",
                                "--port",
                                "0",
                                "--api-key",
                                "k1",
                                "--api-key",
                                "k2",
                                "--cors-origin",
                                "*",
                                "--dry-run",
                                "--log-level",
                                "debug",
                                "--served-name",
                                "name",
                                "--body-max",
                                "1MiB",
                                "--protect-health",
                                "on",
                                "--io-threads",
                                "4",
                                "--connections-max",
                                "9",
                                "--queue-ms",
                                "11",
                                "--header-ms",
                                "12",
                                "--body-ms",
                                "13",
                                "--idle-ms",
                                "14",
                                "--write-ms",
                                "15",
                                "--request-ms",
                                "16",
                                "--ping-ms",
                                "17",
                                "--drain-ms",
                                "18",
                                "--kv-block",
                                "32",
                                "--kv-seal-stride",
                                "64"});
  REQUIRE(to_string(s.engine.kv.formats) == "tq4/tq3");
  REQUIRE(s.engine.kv.budget_bytes == 2ull << 30);
  REQUIRE(s.engine.kv.window_tokens == 192);
  REQUIRE(s.engine.kv.sink_tokens == 32);
  REQUIRE(s.engine.kv.seal_stride_tokens == 64);
  REQUIRE(s.engine.kv.seed == 7);
  REQUIRE(s.engine.kv.rotation == RotationKind::kQr);
  REQUIRE_FALSE(s.engine.kv.prefix_cache);
  REQUIRE(s.engine.dtype == ComputeType::kF32);
  REQUIRE(s.engine.threads == 3);
  REQUIRE(s.engine.backend == "scalar");
  REQUIRE(s.engine.device == "cpu");
  REQUIRE(s.engine.context_max == 1024);
  REQUIRE(s.engine.seqs_max == 5);
  REQUIRE(s.engine.queue_max == 6);
  REQUIRE(s.engine.step_tokens_max == 77);
  REQUIRE(s.engine.gpu_memory_utilization == 0.75);
  REQUIRE(s.engine.swap_bytes == 3ull << 30);
  REQUIRE(s.engine.queue_ms_max == 11);
  REQUIRE(s.engine.served_name == "name");
  REQUIRE(s.server.host == "::1");
  REQUIRE(s.server.port == 0);
  REQUIRE(s.server.api_keys == Texts{"k1", "k2"});
  REQUIRE(s.server.cors_origins == Texts{"*"});
  REQUIRE(s.server.protect_health);
  REQUIRE(s.server.io_threads == 4);
  REQUIRE(s.server.connections_max == 9);
  REQUIRE(s.server.body_bytes_max == 1 << 20);
  REQUIRE(s.server.header_ms_max == 12);
  REQUIRE(s.server.body_ms_max == 13);
  REQUIRE(s.server.idle_ms_max == 14);
  REQUIRE(s.server.write_ms_max == 15);
  REQUIRE(s.server.request_ms_max == 16);
  REQUIRE(s.server.ping_ms == 17);
  REQUIRE(s.server.drain_ms_max == 18);
  REQUIRE(s.server.log_level == "debug");
  REQUIRE(s.dry_run);
}

TEST_CASE("flags win over the environment, the environment over the file") {
  const TempFile file(R"({"port": 1, "seqs-max": 2, "queue-max": 3, "api-key": ["a", "b"]})");
  const Texts environment{"TURBOQUANT_PORT=10", "TURBOQUANT_SEQS_MAX=20",
                          "TURBOQUANT_CONFIG=" + file.path(), "PATH=/bin"};
  const Settings s = must_load({"--port", "100"}, environment);
  REQUIRE(s.server.port == 100);
  REQUIRE(s.engine.seqs_max == 20);
  REQUIRE(s.engine.queue_max == 3);
  REQUIRE(s.server.api_keys == Texts{"a", "b"});
  REQUIRE(must_load({}, {"TURBOQUANT_API_KEY=x,y"}).server.api_keys == Texts{"x", "y"});
}

TEST_CASE(
    "--bits and --kv are one setting: the stronger source wins, one source may not give both") {
  const TempFile file(R"({"kv": "bf16"})");
  REQUIRE(to_string(must_load({"--bits", "3", "--config", file.path()}).engine.kv.formats) ==
          "tq3");
  const Error flags = must_fail({"--bits", "4", "--kv", "tq4"});
  REQUIRE(flags.where == "--bits");
  REQUIRE(holds(flags.message, "--kv"));
  const Error env = must_fail({}, {"TURBOQUANT_KV=tq4", "TURBOQUANT_BITS=4"});
  REQUIRE(env.where == "TURBOQUANT_BITS");
  REQUIRE(holds(env.message, "TURBOQUANT_KV"));
}

TEST_CASE("an error names the setting and its source") {
  REQUIRE(must_fail({"--prot", "1"}).where == "--prot");
  REQUIRE(must_fail({"stray"}).where == "stray");
  REQUIRE(must_fail({"--port", "70000"}).where == "--port");
  REQUIRE(holds(must_fail({"--port", "70000"}).message, "65535"));
  REQUIRE(must_fail({"--port", "1", "--port", "2"}).where == "--port");
  REQUIRE(must_fail({}, {"TURBOQUANT_PRT=1"}).where == "TURBOQUANT_PRT");
  REQUIRE(must_fail({}, {"TURBOQUANT_PORT=x"}).where == "TURBOQUANT_PORT");
  REQUIRE(must_fail({"--kv", "tq9"}).where == "--kv");
  REQUIRE(must_fail({"--bits", "5"}).where == "--bits");
  REQUIRE(must_fail({"--backend", "sse9"}).where == "--backend");
  REQUIRE(must_fail({"--gpu-memory-utilization", "0"}).where == "--gpu-memory-utilization");
  REQUIRE(must_fail({"--gpu-memory-utilization", "1.01"}).where == "--gpu-memory-utilization");
  REQUIRE(must_fail({"--gpu-memory-utilization", "nan"}).where == "--gpu-memory-utilization");
  REQUIRE(must_fail({"--log-level", "loud"}).where == "--log-level");
  REQUIRE(must_fail({"--host", ""}).where == "--host");
  REQUIRE(must_fail({"--config", "/nonexistent.json"}).where == "--config");
  REQUIRE(must_fail({"--api-key-file", "/nonexistent"}).where == "--api-key-file");
}

TEST_CASE("an error in the file names the file and the key") {
  const auto error_of = [](const char* content, const char* part) {
    const TempFile file(content);
    const Error error = must_fail({"--config", file.path()});
    INFO(content << " -> " << error.describe());
    REQUIRE(holds(error.where, file.path()));
    REQUIRE(holds(error.describe(), part));
  };
  error_of(R"({"prot": 1})", "prot");
  error_of(R"({"port": "x"})", "port");
  error_of(R"({"port": 1.5})", "port");
  error_of(R"({"port": [1]})", "port");
  error_of(R"({"port": null})", "port");
  error_of(R"({"port": {"a": 1}})", "port");
  error_of(R"({"port": 1, "port": 2})", "more than once");
  error_of(R"({"api-key": ["a", 1.5]})", "api-key");
  error_of(R"([1])", "object");
  error_of(R"({"port": )", "parse error");
}

TEST_CASE("contradictions are errors") {
  REQUIRE(must_fail({"--device", "cuda", "--backend", "avx2"}).where == "--backend");
  REQUIRE(must_fail({"--kv-window", "100"}).where == "--kv-window");
  REQUIRE(must_fail({"--kv-sink", "33"}).where == "--kv-sink");
  REQUIRE(must_fail({"--kv-block", "40"}).where == "--kv-block");
  REQUIRE(must_fail({"--kv-seal-stride", "40"}).where == "--kv-seal-stride");
  REQUIRE(must_fail({"--protect-health"}).where == "--protect-health");
  REQUIRE(must_fail({"--api-key", "with space"}).where == "--api-key");
}

TEST_CASE("the model is required, but not for --help, --version and --print-config") {
  auto missing = load_settings({}, {});
  REQUIRE_FALSE(missing.ok());
  REQUIRE(missing.error().where == "--model");
  for (const char* flag : {"--help", "--version", "--print-config"}) {
    auto outcome = load_settings({flag}, {});
    REQUIRE(outcome.ok());
    REQUIRE_FALSE(outcome->early_exit_text.empty());
  }
}

TEST_CASE("--help shows every setting under its group") {
  const std::string help = load_settings({"--help"}, {})->early_exit_text;
  for (const load::Setting& setting : load::settings_table()) {
    INFO(setting.name);
    REQUIRE(holds(help, load::flag_name(setting.name)));
    REQUIRE(holds(help, std::string(load::to_string(setting.group)) + ":"));
  }
}

TEST_CASE("--print-config reads back to the same settings, and hides keys") {
  const auto printed =
      load_settings({"--print-config", "--model", "m", "--kv", "tq4/tq2", "--kv-memory", "3GiB",
                     "--api-key", "sesame", "--cors-origin", "http://a", "--kv-seed", "99"},
                    {})
          ->early_exit_text;
  REQUIRE_FALSE(holds(printed, "sesame"));
  const TempFile file(printed);
  const auto again = load_settings({"--print-config", "--config", file.path()}, {});
  INFO((again.ok() ? std::string() : again.error().describe()));
  REQUIRE(again.ok());
  REQUIRE(again->early_exit_text == printed);
}

TEST_CASE("swap space of 0 is none, not the default") {
  REQUIRE(must_load({}).engine.swap_bytes == 4ull << 30);
  REQUIRE(must_load({"--swap-space", "auto"}).engine.swap_bytes == 4ull << 30);
  REQUIRE(must_load({"--swap-space", "0"}).engine.swap_bytes == 0);
  const auto printed =
      load_settings({"--print-config", "--model", "m", "--swap-space", "0"}, {})->early_exit_text;
  REQUIRE(holds(printed, "\"swap-space\": \"0\""));
  REQUIRE(must_fail({"--swap-space", "2048TiB"}).where == "--swap-space");
}

TEST_CASE("keys come from a file, one a line") {
  const TempFile keys("# comment\n\n  key-one \nkey-two\r\n");
  const Settings s = must_load({"--api-key-file", keys.path(), "--api-key", "three"});
  REQUIRE(s.server.api_keys.size() == 3);
  const TempFile none("# nothing\n");
  REQUIRE(must_fail({"--api-key-file", none.path()}).where == "--api-key-file");
}

TEST_CASE("the sample files load") {
  const std::filesystem::path folder = std::filesystem::path(TQ_SOURCE_DIR) / "config";
  int n = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (!entry.path().string().ends_with(".sample.json")) continue;
    auto outcome = load_settings({"--config", entry.path().string()}, {});
    INFO(entry.path() << (outcome.ok() ? std::string() : outcome.error().describe()));
    REQUIRE(outcome.ok());
    ++n;
  }
  REQUIRE(n >= 2);
}

TEST_CASE("validate() checks structs filled by hand") {
  Settings s;
  REQUIRE(validate(s).ok());
  s.server.io_threads = 1;
  REQUIRE(validate(s).error().where == "--io-threads");
}
