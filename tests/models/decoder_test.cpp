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
#include "tests/support/allocation_count.h"

namespace tq::models {
namespace {

const std::string kGolden = std::string(TQ_SOURCE_DIR) + "/tests/golden/models/";
const char* const kCases[] = {"llama",      "llama_tied_gqa3", "llama3_rope", "llama_linear_rope",
                              "llama_yarn", "mistral",         "qwen2_bias",  "qwen3_qk_norm"};
constexpr int kBlockTokens = 32;
constexpr uint32_t kSeed = 20261124;

std::vector<float> read_floats(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  REQUIRE(file.good());
  const std::string bytes((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  std::vector<float> values(bytes.size() / sizeof(float));
  std::memcpy(values.data(), bytes.data(), values.size() * sizeof(float));
  return values;
}

std::vector<TokenId> read_tokens(const std::string& path) {
  std::ifstream file(path);
  REQUIRE(file.good());
  return {std::istream_iterator<TokenId>(file), std::istream_iterator<TokenId>()};
}

// A chunk of one sequence in one step; `base` is the first of the sequence's own hot blocks.
struct Chunk {
  const std::vector<TokenId>* tokens;
  int32_t first;
  int32_t n;
  int32_t base;
};

struct StoreOptions {
  KvFormats formats{KvFormat::kBf16, KvFormat::kBf16};
  float key_bias_min = DecoderOptions{}.key_bias_min;
};

std::unique_ptr<WeightSource> opened(const std::string& path) {
  auto source = open_model(path);
  REQUIRE(source.ok());
  return std::move(*source);
}

// A model with its store, driven step by step.
class Harness {
 public:
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
      : source_(std::move(source)), pool_(std::make_unique<kernels::cpu::ThreadPool>(threads)) {
    const ModelSpec& spec = source_->spec();
    KvConfig kv;
    kv.formats = store.formats;
    kv.block_tokens = kBlockTokens;
    auto attention = kernels::make_backend(backend, {.shape = {.n_layers = spec.n_layers,
                                                               .n_kv_heads = spec.n_kv_heads,
                                                               .head_dim = spec.head_dim},
                                                     .kv = kv,
                                                     .n_heads = spec.n_heads,
                                                     .pool = pool_.get()});
    REQUIRE(attention.ok());
    attention_ = std::move(*attention);
    auto arena = attention_->allocate({.hot_blocks = 64, .sealed_blocks = 8});
    REQUIRE(arena.ok());
    arena_ = std::make_unique<kernels::KvArena>(std::move(*arena));
    auto layer_kernels = kernels::find_layer_kernels(attention_->name());
    REQUIRE(layer_kernels.ok());
    auto decoder = make_decoder(*source_, *attention_,
                                {.dtype = dtype,
                                 .layer = *layer_kernels,
                                 .pool = pool_.get(),
                                 .key_bias_min = store.key_bias_min});
    REQUIRE(decoder.ok());
    decoder_ = std::move(*decoder);
  }

  int64_t vocab() const { return decoder_->spec().vocab_size; }
  uint64_t weight_bytes() const { return decoder_->weight_bytes(); }
  long n_allocations() const { return n_allocations_; }  // of the last step, in forward()

  // Codes the first blocks of the sequence at base 0, the only one from then on.
  void seal(int32_t n_blocks) {
    for (; n_sealed_ < n_blocks; ++n_sealed_) {
      const BlockId block{n_sealed_};
      REQUIRE(attention_->seal({.arena = arena_.get(), .hot = block, .sealed = block}).ok());
    }
  }

  // Logits of every row of the step, [n_tokens, vocab].
  std::vector<float> run(const std::vector<Chunk>& chunks) {
    kernels::PagedBatch batch;
    batch.token_indptr = batch.hot_indptr = batch.sealed_indptr = {0};
    std::vector<TokenId> tokens;
    std::vector<int32_t> positions, rows;
    for (const Chunk& chunk : chunks) {
      ++batch.n_seqs;
      batch.first_position.push_back(chunk.first);
      for (int32_t i = 0; i < chunk.n; ++i) {
        rows.push_back(static_cast<int32_t>(tokens.size()));
        tokens.push_back((*chunk.tokens)[static_cast<size_t>(chunk.first + i)]);
        positions.push_back(chunk.first + i);
      }
      for (int32_t first = 0; first < chunk.first + chunk.n; first += kBlockTokens) {
        if (first < n_sealed_ * kBlockTokens) {
          batch.sealed_blocks.push_back(BlockId{first / kBlockTokens});
          continue;
        }
        batch.hot_blocks.push_back(BlockId{chunk.base + first / kBlockTokens});
        batch.hot_first.push_back(first);
      }
      batch.token_indptr.push_back(static_cast<int32_t>(tokens.size()));
      batch.hot_indptr.push_back(static_cast<int32_t>(batch.hot_blocks.size()));
      batch.sealed_indptr.push_back(static_cast<int32_t>(batch.sealed_blocks.size()));
    }
    batch.n_tokens = static_cast<int32_t>(tokens.size());
    auto plan = attention_->plan(batch, *arena_);
    REQUIRE(plan.ok());
    const long before = test::n_allocations();
    auto logits = decoder_->forward({.tokens = tokens,
                                     .positions = positions,
                                     .logit_rows = rows,
                                     .plan = *plan,
                                     .arena = arena_.get()});
    n_allocations_ = test::n_allocations() - before;
    REQUIRE(logits.ok());
    return {logits->begin(), logits->end()};
  }

 private:
  std::unique_ptr<WeightSource> source_;
  std::unique_ptr<kernels::cpu::ThreadPool> pool_;
  std::unique_ptr<kernels::PagedAttention> attention_;
  std::unique_ptr<kernels::KvArena> arena_;
  std::unique_ptr<Decoder> decoder_;
  int32_t n_sealed_ = 0;
  long n_allocations_ = 0;
};

double relative_rms(const std::vector<float>& got, const std::vector<float>& want) {
  REQUIRE(got.size() == want.size());
  double error = 0, norm = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    REQUIRE(std::isfinite(got[i]));
    error += std::pow(double{got[i]} - double{want[i]}, 2);
    norm += std::pow(double{want[i]}, 2);
  }
  return std::sqrt(error / norm);
}

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
    std::vector<Chunk> prefill, decode;
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
