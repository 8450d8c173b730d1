// What `turboquant-bench attention --device cuda` measures, on the emulated device: which bytes it
// counts and who takes turns, never how fast.

#include "bench/cuda/device_contest.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bench/cuda/device_tables.h"
#include "quant/block_layout.h"

namespace tq::bench {
namespace {

constexpr KvFormats kBf16{KvFormat::kBf16, KvFormat::kBf16};
constexpr KvFormats kTq4{KvFormat::kTq4, KvFormat::kTq4};
constexpr KvFormats kTq42{KvFormat::kTq4, KvFormat::kTq2};

class CountedSdpa final : public SdpaCase {
 public:
  explicit CountedSdpa(int& n_calls) : n_calls_(n_calls) {}
  std::string_view kernel() const override { return "counted"; }
  kernels::DeviceStream stream() const override { return nullptr; }
  Result<void> attend() override {
    ++n_calls_;
    return {};
  }

 private:
  int& n_calls_;
};

MakeSdpa counted(int& n_calls) {
  return [&n_calls](const SdpaShape&) {
    SdpaCases cases;
    cases.push_back(std::make_unique<CountedSdpa>(n_calls));
    return Result<SdpaCases>(std::move(cases));
  };
}

ContestOptions small() {
  return {.shape = {.head_dim = 64, .n_kv_heads = 2, .group = 3, .n_seqs = 2, .context = 600},
          .formats = {kBf16, kTq4, kTq42},
          .copy_bytes = 1 << 12,
          .n_rounds = 2,
          .n_passes = 1};
}

}  // namespace

TEST_CASE("device contest: all take turns; bytes are those of both sequences' blocks") {
  int n_calls = 0;
  SdpaShape asked;
  const auto contest = measure_contest(small(), [&](const SdpaShape& shape) {
    asked = shape;
    return counted(n_calls)(shape);
  });
  REQUIRE(contest.ok());
  CHECK(asked.head_dim == 64);
  CHECK(asked.n_kv_heads == 2);
  CHECK(asked.group == 3);
  CHECK(asked.n_seqs == 2);
  CHECK(asked.context == 600);
  CHECK(asked.n_layers == 1);
  CHECK(n_calls == 1 + 3 * (1 + 1));  // before it is recorded; each round warms up and plays once
  CHECK(contest->context == 600);
  CHECK(contest->rows_cached == 600 * 2 * 2);
  CHECK(contest->copy.bytes == 2 << 12);

  REQUIRE(contest->sdpa.size() == 1);
  CHECK(contest->sdpa[0].name == "SDPA counted");
  CHECK(contest->sdpa[0].bytes == 600ull * 2 * 2 * 64 * 4);
  REQUIRE(contest->formats.size() == 3);
  // At position 599 tokens 64 to 255 are sealed: 6 blocks of 19.
  for (const auto& [index, formats] : {std::pair{0, kBf16}, {1, kTq4}, {2, kTq42}}) {
    const TurnTimes& times = contest->formats[static_cast<size_t>(index)];
    INFO(times.name);
    CHECK(times.name == to_string(formats));
    const auto layout = quant::BlockLayout::create({.n_layers = 1, .n_kv_heads = 2, .head_dim = 64},
                                                   formats, KvConfig{}.block_tokens);
    REQUIRE(layout.ok());
    const uint64_t n_sealed = index == 0 ? 0 : 6;
    CHECK(times.bytes == 2 * ((19 - n_sealed) * layout->hot_block_bytes() +
                              n_sealed * layout->sealed_block_bytes()));
    CHECK(times.seconds.size() == 2);
    CHECK(*std::min_element(times.seconds.begin(), times.seconds.end()) > 0.0);
  }
}

TEST_CASE("device contest: a shape that LibTorch or the store refuses is its error") {
  const auto refused = measure_contest(small(), [](const SdpaShape&) -> Result<SdpaCases> {
    return Error{Code::kInternal, "no memory", "LibTorch"};
  });
  REQUIRE(!refused.ok());
  CHECK(refused.error().where == "LibTorch");
  ContestOptions odd = small();
  odd.shape.head_dim = 72;
  CHECK(
      !measure_contest(odd, [](const SdpaShape&) { return Result<SdpaCases>(SdpaCases{}); }).ok());
}

TEST_CASE("device tables: a row for each context, format and kernel of LibTorch") {
  int n_calls = 0;
  const auto figures = measure_contexts({.formats = {kBf16, kTq4},
                                         .contexts = {40, 450},
                                         .head_dim = 64,
                                         .n_kv_heads = 1,
                                         .group = 2,
                                         .n_seqs = 2,
                                         .n_runs = 1},
                                        {.libtorch = "1.2.3", .make_sdpa = counted(n_calls)});
  REQUIRE(figures.ok());
  CHECK((*figures)["device"] == "emulated");
  CHECK((*figures)["libtorch"] == "1.2.3");
  CHECK((*figures)["batch"] == 2);
  CHECK((*figures)["copy_gb_per_s"].size() == 2);
  const nlohmann::json& rows = (*figures)["attend"];
  REQUIRE(rows.size() == 6);
  for (size_t i = 0; i < rows.size(); ++i) {
    CAPTURE(i);
    CHECK(rows[i]["context"] == (i < 3 ? 40 : 450));
    CHECK(rows[i]["format"] == std::vector{"SDPA counted", "bf16", "tq4"}[i % 3]);
    if (i % 3 != 0) CHECK(rows[i]["us"] > 0.0);  // what only counts may take no time
  }
  CHECK(rows[2]["bytes"] == rows[1]["bytes"]);  // nothing is sealed yet
  CHECK(rows[5]["bytes"] < rows[4]["bytes"]);
}

TEST_CASE("device contest: a pass reads what is asked for, within reason") {
  CHECK(layers_to_read(0, 1000) == 1);
  CHECK(layers_to_read(2500, 1000) == 3);
  CHECK(layers_to_read(uint64_t{1} << 40, 1000) == 96);
}

}  // namespace tq::bench
