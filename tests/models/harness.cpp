#include "tests/models/harness.h"

#include <catch2/catch.hpp>

#include <cmath>
#include <cstring>
#include <fstream>
#include <iterator>
#include <utility>

#include "kernels/layer_kernels.h"
#include "tests/support/allocation_count.h"

namespace tq::models::test {

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

std::unique_ptr<WeightSource> opened(const std::string& path) {
  auto source = open_model(path);
  REQUIRE(source.ok());
  return std::move(*source);
}

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

kernels::AttentionOptions attention_options(const ModelSpec& spec, const StoreOptions& store) {
  kernels::AttentionOptions options;
  options.shape = {
      .n_layers = spec.n_layers, .n_kv_heads = spec.n_kv_heads, .head_dim = spec.head_dim};
  options.kv.formats = store.formats;
  options.kv.block_tokens = kBlockTokens;
  options.n_heads = spec.n_heads;
  return options;
}

MachineMaker on_cpu(const std::string& backend,
                    int threads,
                    ComputeType dtype,
                    const StoreOptions& store) {
  return [=](const WeightSource& source) {
    auto pool = std::make_shared<kernels::cpu::ThreadPool>(threads);
    kernels::AttentionOptions options = attention_options(source.spec(), store);
    options.pool = pool.get();
    auto attention = kernels::make_backend(backend, options);
    REQUIRE(attention.ok());
    auto layer_kernels = kernels::find_layer_kernels((*attention)->name());
    REQUIRE(layer_kernels.ok());
    auto decoder = make_decoder(source, **attention,
                                {.dtype = dtype,
                                 .layer = *layer_kernels,
                                 .pool = pool.get(),
                                 .key_bias_min = store.key_bias_min});
    REQUIRE(decoder.ok());
    return Machine{std::move(pool), std::move(*attention), std::move(*decoder)};
  };
}

Harness::Harness(std::unique_ptr<WeightSource> source, const MachineMaker& make)
    : source_(std::move(source)), machine_(make(*source_)) {
  auto arena = machine_.attention->allocate({.hot_blocks = 64, .sealed_blocks = 8});
  REQUIRE(arena.ok());
  arena_ = std::make_unique<kernels::KvArena>(std::move(*arena));
}

void Harness::seal(int32_t n_blocks) {
  for (; n_sealed_ < n_blocks; ++n_sealed_) {
    const BlockId block{n_sealed_};
    REQUIRE(machine_.attention->seal({.arena = arena_.get(), .hot = block, .sealed = block}).ok());
  }
}

std::vector<float> Harness::run(const std::vector<Chunk>& chunks) {
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
  auto plan = machine_.attention->plan(batch, *arena_);
  REQUIRE(plan.ok());
  const long before = tq::test::n_allocations();
  auto logits = machine_.decoder->forward({.tokens = tokens,
                                           .positions = positions,
                                           .logit_rows = rows,
                                           .plan = *plan,
                                           .arena = arena_.get()});
  n_allocations_ = tq::test::n_allocations() - before;
  REQUIRE(logits.ok());
  return {logits->begin(), logits->end()};
}

}  // namespace tq::models::test
