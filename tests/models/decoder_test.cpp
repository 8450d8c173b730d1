// The decoder against Hugging Face transformers (tests/golden/models/gen_llama.py), and against
// itself: the same bits alone, in any batch, and in any chunking of a prompt.

#include <catch2/catch.hpp>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "kernels/paged_attention.h"
#include "models/decoder.h"
#include "models/packed_weights.h"
#include "models/weights/weight_source.h"
#include "tests/models/coded_source.h"
#include "tests/models/harness.h"

namespace tq::models {
namespace {

using test::kBlockTokens;
using test::opened;
using test::read_floats;
using test::read_tokens;
using test::relative_rms;
using test::StoreOptions;

// On the CPU.
struct Harness : test::Harness {
  Harness(const std::string& folder,
          const std::string& backend,
          int threads,
          ComputeType dtype,
          const StoreOptions& store = {})
      : Harness(opened(folder), backend, threads, dtype, store) {}
  Harness(std::unique_ptr<WeightSource> source,
          const std::string& backend,
          int threads,
          ComputeType dtype,
          const StoreOptions& store = {})
      : test::Harness(std::move(source), test::on_cpu(backend, threads, dtype, store)) {}
};

const std::string kGolden = std::string(TQ_SOURCE_DIR) + "/tests/golden/models/";
const char* const kCases[] = {"llama",      "llama_tied_gqa3", "llama3_rope", "llama_linear_rope",
                              "llama_yarn", "mistral",         "qwen2_bias",  "qwen3_qk_norm"};
constexpr uint32_t kSeed = 20261124;

bool same_bits(std::span<const float> a, std::span<const float> b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size_bytes()) == 0;
}

std::vector<std::string> backends() {
  std::vector<std::string> names;
  for (const std::string_view name : kernels::available_backends()) names.emplace_back(name);
  return names;
}

}  // namespace

TEST_CASE("logits equal those of transformers") {
  for (const std::string& backend : backends()) {
    for (const std::string name : kCases) {
      INFO(name << " on " << backend);
      const std::string folder = kGolden + name;
      const auto tokens = read_tokens(folder + "/tokens.txt");
      Harness model(folder, backend, 1, ComputeType::kF32);
      const auto n = static_cast<int32_t>(tokens.size());
      const auto logits = model.run({{&tokens, 0, n, 0}});
      // Only fp32 rounding is left: sums of <= 80 terms in two layers, each within 80 * 2^-24 of
      // its magnitude; but a k or v element whose fp32 value lies within that of a bf16 midpoint
      // rounds the other way, by 2^-9 of one element in thousands.
      CHECK(relative_rms(logits, read_floats(folder + "/logits_bf16_kv.f32")) < 2e-4);
      // bf16 rows: each k and v element errs by up to 2^-9, in each of two layers.
      CHECK(relative_rms(logits, read_floats(folder + "/logits.f32")) < 4 * 0x1p-9);
    }
  }
}

TEST_CASE("4-bit keys survive biases of 500 and more") {
  const std::string folder = kGolden + "qwen2_large_bias";
  const auto tokens = read_tokens(folder + "/tokens.txt");
  const std::vector<float> all = read_floats(folder + "/logits.f32");
  constexpr int32_t kSealedBlocks = 2;
  constexpr int32_t kFirst = kSealedBlocks * kBlockTokens;
  const auto n = static_cast<int32_t>(tokens.size());
  const auto errors = [&](const std::string& backend, const StoreOptions& store) {
    Harness model(folder, backend, 1, ComputeType::kF32, store);
    model.run({{&tokens, 0, kFirst, 0}});
    if (!store.formats.sealed_is_hot()) model.seal(kSealedBlocks);
    const auto logits = model.run({{&tokens, kFirst, n - kFirst, 0}});
    return relative_rms(logits, {all.end() - static_cast<ptrdiff_t>(logits.size()), all.end()});
  };
  constexpr KvFormats k16{KvFormat::kBf16, KvFormat::kBf16};
  constexpr KvFormats k4{KvFormat::kTq4, KvFormat::kTq4};
  for (const std::string& backend : backends()) {
    INFO("on " << backend);
    const double rows16 = errors(backend, {.formats = k16});
    const double codes4 = errors(backend, {.formats = k4});
    const double biased16 = errors(backend, {.formats = k16, .key_bias_min = 1e9f});
    const double biased4 = errors(backend, {.formats = k4, .key_bias_min = 1e9f});
    CAPTURE(rows16, codes4, biased16, biased4);
    // The roundings of "logits equal those of transformers", and of a bias's score in fp32.
    CHECK(rows16 < 4 * 0x1p-9);
    // 4 bits err by 0.066 of a key's and 0.082 of a value's norm, in each of two layers, and some
    // of the keys stay in 16 bit.
    CHECK(codes4 < 2 * 0.082);
    // What the biases do to rows that hold them: 16-bit ones lose more than ours lose at 4 bits.
    CHECK(biased16 > 10 * rows16);
    CHECK(biased4 > 4 * codes4);
  }
}

TEST_CASE("bf16 weights cost nothing where the checkpoint holds bf16") {
  const std::string folder = kGolden + "llama";
  const auto tokens = read_tokens(folder + "/tokens.txt");
  const auto n = static_cast<int32_t>(tokens.size());
  for (const std::string& backend : backends()) {
    INFO("on " << backend);
    Harness narrow(folder, backend, 1, ComputeType::kBf16);
    Harness wide(folder, backend, 1, ComputeType::kF32);
    const auto got = narrow.run({{&tokens, 0, n, 0}});
    const auto want = wide.run({{&tokens, 0, n, 0}});
    if (kernels::find_layer_kernels(backend)->split_inputs == nullptr) {
      CHECK(same_bits(got, want));
    } else {  // inputs keep 17 bits; that some 16-bit rows of the KV store round otherwise is more
      CHECK(relative_rms(got, want) < 2e-4);
    }
  }
}

TEST_CASE("weights of 4, 5 and 8 bits are not rounded, whatever they are stacked with") {
  const std::string folder = kGolden + "llama_tied_gqa3";
  const auto tokens = read_tokens(folder + "/tokens.txt");
  const auto n = static_cast<int32_t>(tokens.size());
  const std::vector<WeightType> kTypes[] = {
      {WeightType::kQ4_0}, {WeightType::kQ4_1},
      {WeightType::kQ5_0}, {WeightType::kQ5_1},
      {WeightType::kQ8_0}, {WeightType::kQ5_1, WeightType::kQ4_0, WeightType::kQ8_0}};
  for (const std::string& backend : backends()) {
    for (const std::vector<WeightType>& types : kTypes) {
      INFO(to_string(types.front()) << " on " << backend << ", seed " << kSeed);
      const auto load = [&](ComputeType dtype) {
        return Harness(std::make_unique<CodedSource>(opened(folder), types, kSeed), backend, 2,
                       dtype);
      };
      Harness coded = load(ComputeType::kAuto);
      Harness wide = load(ComputeType::kF32);
      const auto whole = coded.run({{&tokens, 0, n, 0}});
      const auto of_floats = wide.run({{&tokens, 0, n, 0}});
      const double rounded =
          relative_rms(load(ComputeType::kBf16).run({{&tokens, 0, n, 0}}), of_floats);
      if (kernels::find_layer_kernels(backend)->code_inputs == nullptr) {
        CHECK(same_bits(whole, of_floats));
        CHECK(rounded > 0);
      } else {  // inputs are rounded, to 12 bits where bf16 keeps 8 of a weight
        CHECK(relative_rms(whole, of_floats) < rounded / 2);
      }
      coded.run({{&tokens, 0, n - 1, 0}});
      const auto last = coded.run({{&tokens, n - 1, 1, 0}});  // decode: one row
      CHECK(same_bits(last, std::span(whole).last(last.size())));

      const CodedSource source(opened(folder), types, kSeed);
      const uint64_t estimate = packed_bytes(source, ComputeType::kAuto);
      CHECK(estimate < packed_bytes(source, ComputeType::kBf16) * 3 / 4);
      CHECK(estimate == coded.weight_bytes());
      CHECK(packed_bytes(source, ComputeType::kF32) == wide.weight_bytes());
    }
  }
}

TEST_CASE(
    "a prompt gives the same bits whole, in chunks, token by token, and on any number of threads") {
  for (const std::string& backend : backends()) {
    for (const std::string name : {"llama_tied_gqa3", "qwen3_qk_norm"}) {
      INFO(name << " on " << backend << ", seed " << kSeed);
      const std::string folder = kGolden + name;
      const auto tokens = read_tokens(folder + "/tokens.txt");
      const auto n = static_cast<int32_t>(tokens.size());
      Harness model(folder, backend, 1, ComputeType::kF32);
      const auto whole = model.run({{&tokens, 0, n, 0}});
      Harness threaded(folder, backend, 3, ComputeType::kF32);
      CHECK(same_bits(threaded.run({{&tokens, 0, n, 0}}), whole));
      std::mt19937 rng(kSeed);
      for (int round = 0; round < 4; ++round) {
        std::vector<float> chunked;
        for (int32_t first = 0; first < n;) {
          const int32_t size =
              round == 0 ? 1 : std::min<int32_t>(n - first, 1 + static_cast<int32_t>(rng() % 40));
          const auto part = model.run({{&tokens, first, size, 0}});
          chunked.insert(chunked.end(), part.begin(), part.end());
          first += size;
        }
        CHECK(same_bits(chunked, whole));
      }
    }
  }
}

TEST_CASE("a step no larger than an earlier one allocates nothing") {
  const std::string folder = kGolden + "qwen3_qk_norm";
  const auto tokens = read_tokens(folder + "/tokens.txt");
  for (const std::string& backend : backends()) {
    if (backend == "scalar") continue;  // allocates, and may
    INFO("on " << backend);
    Harness model(folder, backend, 2, ComputeType::kF32);
    model.run({{&tokens, 0, 8, 0}});
    CHECK(model.n_allocations() > 0);  // the counter counts
    model.run({{&tokens, 8, 8, 0}});
    CHECK(model.n_allocations() == 0);
    model.run({{&tokens, 16, 1, 0}});
    CHECK(model.n_allocations() == 0);
  }
}

TEST_CASE("a sequence gives the same bits alone and in any batch") {
  const std::string folder = kGolden + "llama";
  const auto tokens = read_tokens(folder + "/tokens.txt");
  std::vector<std::vector<TokenId>> prompts;
  for (int32_t s = 0; s < 5; ++s) {  // different lengths and contents
    prompts.emplace_back(tokens.rbegin() + s, tokens.rend() - 7 * s);
  }
  for (const std::string& backend : backends()) {
    INFO("on " << backend);
    Harness model(folder, backend, 2, ComputeType::kBf16);
    const auto vocab = static_cast<size_t>(model.vocab());
    std::vector<std::vector<float>> alone;
    std::vector<test::Chunk> prefill, decode;
    for (size_t s = 0; s < prompts.size(); ++s) {
      const auto n = static_cast<int32_t>(prompts[s].size());
      alone.push_back(model.run({{&prompts[s], 0, n, 0}}));
      const auto base = static_cast<int32_t>(8 * s);
      prefill.push_back({&prompts[s], 0, n - 1, base});
      decode.push_back({&prompts[s], n - 1, 1, base});
    }
    const auto together = model.run(prefill);
    const auto last = model.run(decode);
    size_t row = 0;
    for (size_t s = 0; s < prompts.size(); ++s) {
      const size_t rows = prompts[s].size() - 1;
      CHECK(same_bits(std::span(together).subspan(row * vocab, rows * vocab),
                      std::span(alone[s]).first(rows * vocab)));
      CHECK(same_bits(std::span(last).subspan(s * vocab, vocab),
                      std::span(alone[s]).subspan(rows * vocab)));
      row += rows;
    }
  }
}

TEST_CASE("a family that is not known is an error that lists the known ones") {
  const auto missing = open_model(kGolden + "no_such_model");
  REQUIRE(!missing.ok());
  CHECK(missing.error().describe().find("no_such_model") != std::string::npos);
}

}  // namespace tq::models
