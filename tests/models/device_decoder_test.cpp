// The decoder on a device, against the one on the CPU and against Hugging Face transformers
// (tests/golden/models/gen_llama.py). The device is the CUDA backend's own source on the CPU, with
// LibTorch's operators on the CPU, and a real one where there is one.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "models/device/find_device.h"
#include "tests/models/device_harness.h"

namespace tq::models {
namespace {

using test::devices;
using test::Harness;
using test::kBlockTokens;
using test::on_device;
using test::opened;
using test::read_floats;
using test::read_tokens;
using test::relative_rms;
using test::StoreOptions;

const std::string kGolden = std::string(TQ_SOURCE_DIR) + "/tests/golden/models/";
constexpr uint32_t kSeed = 20261128;
// Softmax weights of 16-bit rows are bf16 on a device: each errs by up to 2^-9, in each of two
// layers.
constexpr double kRows = 0x1p-9;
constexpr KvFormats k4{KvFormat::kTq4, KvFormat::kTq4};

Harness load(const std::string& name, const test::MachineMaker& make) {
  return Harness(opened(kGolden + name), make);
}

}  // namespace

TEST_CASE("logits of a device equal those of transformers", "[device]") {
  for (const bool real : devices()) {
    for (const std::string name : {"llama", "llama_tied_gqa3", "llama3_rope", "llama_linear_rope",
                                   "llama_yarn", "mistral", "qwen2_bias", "qwen3_qk_norm"}) {
      INFO(name << (real ? " on a device" : " emulated"));
      const auto tokens = read_tokens(kGolden + name + "/tokens.txt");
      const auto n = static_cast<int32_t>(tokens.size());
      Harness model = load(name, on_device({.real = real}));
      const auto logits = model.run({{&tokens, 0, n, 0}});
      CHECK(relative_rms(logits, read_floats(kGolden + name + "/logits_bf16_kv.f32")) < kRows);
    }
  }
}

TEST_CASE("a device's bf16 products stay within their rounding", "[device]") {
  for (const bool real : devices()) {
    for (const std::string name : {"llama_tied_gqa3", "qwen3_qk_norm"}) {
      INFO(name << (real ? " on a device" : " emulated"));
      const auto tokens = read_tokens(kGolden + name + "/tokens.txt");
      const auto n = static_cast<int32_t>(tokens.size());
      Harness wide = load(name, on_device({.real = real}));
      Harness narrow = load(name, on_device({.real = real, .dtype = ComputeType::kBf16}));
      const double error =
          relative_rms(narrow.run({{&tokens, 0, n, 0}}), wide.run({{&tokens, 0, n, 0}}));
      CHECK(error > 0);  // the checkpoint is bf16, activations are rounded
      // Six roundings of 2^-9 at the most in each of two layers, and those of the store that
      // follow.
      CHECK(error < 16 * 0x1p-9);
      CHECK(narrow.weight_bytes() < wide.weight_bytes() * 3 / 4);
    }
  }
}

TEST_CASE("prompts in chunks, sealed blocks and decode steps agree with the CPU", "[device]") {
  const std::string name = "llama_tied_gqa3";
  const auto tokens = read_tokens(kGolden + name + "/tokens.txt");
  const auto n = static_cast<int32_t>(tokens.size());
  constexpr int32_t kSealed = 2;
  constexpr int32_t kFirst = kSealed * kBlockTokens;
  REQUIRE(n > kFirst + 8);
  const StoreOptions store{.formats = k4};
  for (const bool real : devices()) {
    INFO((real ? "on a device" : "emulated") << ", seed " << kSeed);
    Harness cpu = load(name, test::on_cpu("scalar", 1, ComputeType::kF32, store));
    Harness device = load(name, on_device({.real = real, .store = store}));
    std::mt19937 rng(kSeed);
    size_t n_same = 0;
    size_t n_rows = 0;
    for (int32_t first = 0; first < n;) {
      const int32_t left = (first < kFirst ? kFirst : n) - first;
      const int32_t size =
          first > kFirst + 4 ? 1 : std::min<int32_t>(left, 1 + static_cast<int32_t>(rng() % 24));
      if (first == kFirst) {
        cpu.seal(kSealed);
        device.seal(kSealed);
      }
      const auto want = cpu.run({{&tokens, first, size, 0}});
      const auto got = device.run({{&tokens, first, size, 0}});
      // Codes are the same bytes; queries and weights meet them as int8 there (2^-8 of a score),
      // as floats here.
      CHECK(relative_rms(got, want) < (first < kFirst ? kRows : 6e-3));
      const auto vocab = static_cast<ptrdiff_t>(cpu.vocab());
      for (int32_t row = 0; row < size; ++row) {
        const auto best = [&](const std::vector<float>& logits) {
          const auto begin = logits.begin() + row * vocab;
          return std::max_element(begin, begin + vocab) - begin;
        };
        n_same += best(want) == best(got) ? 1 : 0;
        ++n_rows;
      }
      first += size;
    }
    CHECK(n_same >= n_rows - n_rows / 32);  // random weights: some of the best are near ties
  }
}

TEST_CASE("large key biases stay out of the store on a device", "[device]") {
  const std::string name = "qwen2_large_bias";
  const auto tokens = read_tokens(kGolden + name + "/tokens.txt");
  const std::vector<float> all = read_floats(kGolden + name + "/logits.f32");
  constexpr int32_t kSealed = 2;
  constexpr int32_t kFirst = kSealed * kBlockTokens;
  const auto n = static_cast<int32_t>(tokens.size());
  for (const bool real : devices()) {
    INFO((real ? "on a device" : "emulated"));
    const auto error = [&](float key_bias_min) {
      Harness model = load(
          name, on_device({.real = real, .store = {.formats = k4, .key_bias_min = key_bias_min}}));
      model.run({{&tokens, 0, kFirst, 0}});
      model.seal(kSealed);
      const auto logits = model.run({{&tokens, kFirst, n - kFirst, 0}});
      return relative_rms(logits, {all.end() - static_cast<ptrdiff_t>(logits.size()), all.end()});
    };
    const double kept_out = error(StoreOptions{}.key_bias_min);
    CHECK(kept_out < 2 * 0.082);  // as on the CPU (decoder_test.cpp)
    CHECK(error(1e9f) > 2 * kept_out);
  }
}

TEST_CASE("rows of several sequences do not meet on a device", "[device]") {
  const std::string name = "llama";
  const auto tokens = read_tokens(kGolden + name + "/tokens.txt");
  std::vector<std::vector<TokenId>> prompts;
  for (int32_t s = 0; s < 4; ++s) prompts.emplace_back(tokens.rbegin() + s, tokens.rend() - 7 * s);
  for (const bool real : devices()) {
    INFO((real ? "on a device" : "emulated"));
    Harness model = load(name, on_device({.real = real}));
    const auto vocab = static_cast<ptrdiff_t>(model.vocab());
    std::vector<std::vector<float>> alone;
    std::vector<test::Chunk> prefill, decode;
    for (size_t s = 0; s < prompts.size(); ++s) {
      const auto n = static_cast<int32_t>(prompts[s].size());
      const auto base = static_cast<int32_t>(8 * s);
      alone.push_back(model.run({{&prompts[s], 0, n, base}}));
      prefill.push_back({&prompts[s], 0, n - 1, base});
      decode.push_back({&prompts[s], n - 1, 1, base});
    }
    model.run(prefill);
    const auto last = model.run(decode);
    for (size_t s = 0; s < prompts.size(); ++s) {
      const auto row = static_cast<ptrdiff_t>(s) * vocab;
      // Many rows are attended to by another kernel than few, with roundings of its own.
      CHECK(relative_rms({last.begin() + row, last.begin() + row + vocab},
                         {alone[s].end() - vocab, alone[s].end()}) < kRows);
    }
  }
}

TEST_CASE("small steps are recorded, padded, and give what others do", "[device]") {
  const std::string name = "llama";
  const auto tokens = read_tokens(kGolden + name + "/tokens.txt");
  constexpr int32_t kSeqs = 3;  // padded to 4 rows
  constexpr int32_t kSteps = 4;
  constexpr int kParts = 3;  // of two layers
  const auto n = static_cast<int32_t>(tokens.size()) - kSteps;
  std::vector<std::vector<TokenId>> prompts;
  for (int32_t s = 0; s < kSeqs; ++s) {
    prompts.emplace_back(tokens.rbegin(), tokens.rend());
    std::rotate(prompts.back().begin(), prompts.back().begin() + s, prompts.back().end());
  }
  const auto chunks = [&](int32_t first, int32_t size) {
    std::vector<test::Chunk> all;
    for (int32_t s = 0; s < kSeqs; ++s) {
      all.push_back({&prompts[static_cast<size_t>(s)], first, size, 8 * s});
    }
    return all;
  };
  for (const bool real : devices()) {
    INFO((real ? "on a device" : "emulated"));
    test::Recordings recordings, failing{.fail = true};
    Harness plain = load(name, on_device({.real = real, .recorded_rows_max = 0}));
    Harness recorded = load(name, on_device({.real = real, .recordings = &recordings}));
    Harness unable = load(name, on_device({.real = real, .recordings = &failing}));
    const auto agree = [&](const std::vector<test::Chunk>& step) {
      const auto want = plain.run(step);
      // Products of more rows may add in another order; a row of the store rounds what comes of it.
      CHECK(relative_rms(recorded.run(step), want) < kRows / 16);
      CHECK(relative_rms(unable.run(step), want) < kRows / 16);
    };
    agree(chunks(0, n));
    CHECK(recordings.n_made == 0);  // too many rows
    for (int32_t step = 0; step < kSteps; ++step) agree(chunks(n + step, 1));
    if (!real) {
      CHECK(recordings.n_made == kParts);
      CHECK(recordings.n_played == (kSteps - 1) * kParts);
      CHECK(failing.n_played == 0);
    }
    // More rows than ever before: activations move, and what was recorded is not played again.
    std::vector<test::Chunk> longer = chunks(0, n + 1);
    agree(longer);
    agree(chunks(n + 1, 1));
    agree(chunks(n + 2, 1));
    if (!real) {
      CHECK(recordings.n_made == 2 * kParts);
      CHECK(recordings.n_played == kSteps * kParts);
    }
  }
}

TEST_CASE("a device that is not there is an error that says why", "[device]") {
  CHECK(find_device("cpu").ok());
  CHECK(find_device("auto").ok());
  const auto unknown = find_device("tpu");
  REQUIRE(!unknown.ok());
  CHECK(unknown.error().where == "--device");
  const auto cuda = find_device("cuda");
  if (cuda.ok()) {
    CHECK(cuda->is_cuda);
    CHECK(cuda->total_bytes >= cuda->free_bytes);
    CHECK(find_device("auto")->is_cuda);
  } else {
    CHECK(cuda.error().where == "--device");
    CHECK(cuda.error().message.find("CUDA") != std::string::npos);
    CHECK_FALSE(find_device("auto")->is_cuda);
  }
}

}  // namespace tq::models
