// `turboquant-bench kv` on the real model, where cmake/setup.sh has left it: what it writes, never
// how fast it was.

#include "bench/kv/kv_bench.h"

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "engine/kv_needs.h"
#include "kernels/kv_arena.h"
#include "models/weights/weight_source.h"
#include "quant/block_layout.h"

namespace tq::bench {
namespace {

const std::string kModel =
    std::string(TQ_SOURCE_DIR) + "/.deps/models/SmolLM2-135M-Instruct.Q4_1.gguf";

bool has_model() {
  if (std::filesystem::exists(kModel)) return true;
  WARN("skipped: no model; cmake/setup.sh model");
  return false;
}

int run(std::vector<std::string> flags) {
  flags.insert(flags.begin(), {"kv", "--model", kModel, "--threads", "2"});
  std::vector<char*> argv;
  for (std::string& flag : flags) argv.push_back(flag.data());
  return run_kv(static_cast<int>(argv.size()), argv.data());
}

// Both pools, as large as one sequence needs.
uint64_t layout_bytes(KvFormats formats, int64_t length) {
  const auto source = models::open_model(kModel);
  REQUIRE(source.ok());
  const models::ModelSpec& spec = (*source)->spec();
  KvConfig kv;
  kv.formats = formats;
  const auto layout = quant::BlockLayout::create(
      {.n_layers = spec.n_layers, .n_kv_heads = spec.n_kv_heads, .head_dim = spec.head_dim},
      formats, kv.block_tokens);
  REQUIRE(layout.ok());
  const engine::KvNeeds needs(kv);
  return kernels::arena_bytes(
      *layout, {.hot_blocks = needs.hot_peak(length), .sealed_blocks = needs.sealed(length)});
}

}  // namespace

TEST_CASE("kv bench: --quick on the real model") {
  if (!has_model()) return;
  const auto folder = std::filesystem::temp_directory_path() / "tq_kv_bench_test";
  std::filesystem::create_directories(folder);
  const std::string json_path = folder / "kv.json";
  const std::string svg_path = folder / "kv.svg";
  REQUIRE(run({"--quick", "--kv", "bf16,tq4", "--context", "0,512", "--json", json_path, "--svg",
               svg_path}) == 0);
  const nlohmann::json document = nlohmann::json::parse(std::ifstream(json_path));
  for (const char* key : {"benchmark", "model", "machine", "commit", "seed", "threads"}) {
    CHECK(document.contains(key));
  }
  const nlohmann::json& rows = document["results"];
  REQUIRE(rows.size() == 4);
  for (size_t i = 0; i < rows.size(); ++i) {
    CAPTURE(i);
    CHECK(rows[i]["kv"] == (i % 2 == 0 ? "bf16" : "tq4"));
    CHECK(rows[i]["context"] == (i < 2 ? 0 : 512));
    CHECK(rows[i]["prefill_ms"] >= 0.0);
    CHECK((rows[i]["prefill_tokens_per_s"] > 0.0) == (i >= 2));
    CHECK(rows[i]["decode_tokens_per_s"] > 0.0);
    CHECK(rows[i]["ratio_to_bf16"] > 0.0);
    if (!rows[i]["peak_rss_bytes"].is_null()) {
      CHECK(rows[i]["peak_rss_bytes"] > rows[i]["kv_bytes"]);
    }
  }
  const uint64_t bf16 = layout_bytes({KvFormat::kBf16, KvFormat::kBf16}, 512 + 16);
  const uint64_t tq4 = layout_bytes({KvFormat::kTq4, KvFormat::kTq4}, 512 + 16);
  CHECK(tq4 < bf16);
  CHECK(rows[2]["kv_bytes"] == bf16);
  CHECK(rows[3]["kv_bytes"] == tq4);
  CHECK(std::filesystem::file_size(svg_path) > 0);
  std::filesystem::remove_all(folder);
}

TEST_CASE("kv bench: what cannot be measured fails") {
  if (!has_model()) return;
  CHECK(run({"--kv", "tq5"}) != 0);
  CHECK(run({"--context", "8000", "--output", "200"}) != 0);
  CHECK(run({"--context", "-1"}) != 0);
  CHECK(run({"--quick", "--kv", "bf16", "--context", "0", "--json", "/nonexistent/kv.json"}) != 0);
}

}  // namespace tq::bench
