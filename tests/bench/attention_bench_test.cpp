// `turboquant-bench attention`: what it writes and what it refuses, never how fast it was.

#include "bench/attention_bench.h"

#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "bench/cuda/device_bench.h"

namespace tq::bench {
namespace {

constexpr KvFormats kBf16{KvFormat::kBf16, KvFormat::kBf16};

int run(std::vector<std::string> flags) {
  flags.insert(flags.begin(), "attention");
  std::vector<char*> argv;
  for (std::string& flag : flags) argv.push_back(flag.data());
  return run_attention(static_cast<int>(argv.size()), argv.data());
}

nlohmann::json run_to_json(std::vector<std::string> flags) {
  const auto path = std::filesystem::temp_directory_path() / "tq_attention_bench_test.json";
  flags.insert(flags.end(), {"--json", path.string(), "--formats", "tq4", "--runs", "1",
                             "--kv-heads", "2", "--head-dim", "64", "--context", "600"});
  REQUIRE(run(flags) == 0);
  const nlohmann::json document = nlohmann::json::parse(std::ifstream(path));
  std::filesystem::remove(path);
  for (const char* key : {"benchmark", "machine", "commit", "seed", "head_dim"}) {
    CHECK(document.contains(key));
  }
  return document;
}

}  // namespace

TEST_CASE("attention bench: on the CPU") {
  const nlohmann::json document = run_to_json({"--no-cache"});
  REQUIRE(document["attend"].size() == 2);
  CHECK(document["attend"][0]["format"] == "bf16");
  CHECK(document["attend"][0]["times_bf16"] == 1.0);
  CHECK(document["attend"][1]["format"] == "tq4");
  CHECK(document["attend"][1]["bytes_per_token"] < document["attend"][0]["bytes_per_token"]);
  CHECK(document["write"].size() == 2);
}

// Where there is a device it runs, and TQ_REQUIRE_CUDA=1 says that there must be one.
TEST_CASE("attention bench: on a device, or an error that names the flag") {
  const auto found = measure_on_device({.formats = {kBf16}, .contexts = {}, .n_runs = 1});
  const char* const required = std::getenv("TQ_REQUIRE_CUDA");
  if (required != nullptr && std::string(required) == "1") REQUIRE(found.ok());
  if (!found.ok()) {
    CHECK(found.error().where == "--device");
    CHECK(found.error().message.find("CUDA") != std::string::npos);
    CHECK(run({"--device", "cuda"}) == 1);
    return;
  }
  const nlohmann::json document = run_to_json({"--device", "cuda", "--batch", "2"});
  CHECK(document["batch"] == 2);
  CHECK(document["copy_gb_per_s"].size() == 1);
  REQUIRE(document["attend"].size() >= 3);
  for (const auto& row : document["attend"]) {
    CHECK(row["us"] > 0.0);
    CHECK(row["of_copy"] > 0.0);
  }
}

TEST_CASE("attention bench: what cannot be measured fails") {
  CHECK(run({"--device", "tpu"}) != 0);
  CHECK(run({"--device", "cuda", "--backend", "avx2"}) == 1);
  CHECK(run({"--device", "cuda", "--rows", "2"}) == 1);
  CHECK(run({"--batch", "2"}) == 1);
  CHECK(run({"--context", "4", "--rows", "5"}) == 1);
  CHECK(run({"--formats", "tq5"}) == 1);
}

}  // namespace tq::bench
