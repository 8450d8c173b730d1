// A store simulation: seeded random steps, seals and freed sequences over reused blocks, every
// output compared with the dense oracle.
#include <catch2/catch.hpp>

#include <iostream>

#include "quant/random.h"
#include "tests/kernels/dense_store.h"
#include "tests/kernels/world.h"

namespace tq::kernels::test {
namespace {

constexpr int kSequences = 4;

WorldOptions random_options(const std::string& backend, quant::Rng& rng) {
  constexpr KvFormat kFormats[] = {KvFormat::kBf16, KvFormat::kTq8, KvFormat::kTq4, KvFormat::kTq3,
                                   KvFormat::kTq2};
  constexpr int kHeadDims[] = {64, 80, 96, 128, 256};
  constexpr Data kData[] = {Data::kGaussian, Data::kGrowing, Data::kSpiky};
  WorldOptions options;
  options.backend = backend;
  options.attention.shape = {
      .n_layers = 2, .n_kv_heads = 1 + rng.below(2), .head_dim = kHeadDims[rng.below(5)]};
  options.attention.kv.formats = {kFormats[rng.below(5)], kFormats[rng.below(5)]};
  options.attention.kv.block_tokens = 32 * (1 + rng.below(2));
  options.attention.kv.rotation = rng.below(4) == 0 ? RotationKind::kQr : RotationKind::kAuto;
  options.attention.n_heads = options.attention.shape.n_kv_heads * (1 + rng.below(5));
  options.attention.n_threads = 1 + rng.below(3);
  options.data = kData[rng.below(3)];
  options.seed = rng.bits();
  options.pools = {.hot_blocks = 48, .sealed_blocks = 24};
  if (rng.below(2) == 0) {
    options.key_bias = 0.3f;
    options.rope_pairs = options.attention.shape.head_dim / (rng.below(2) == 0 ? 2 : 4);
    options.rope_interleaved = rng.below(2) == 0;
  }
  return options;
}

// Prefers rows that sit in the middle of something: a few decodes, sometimes a chunk, sometimes
// nothing.
std::vector<Chunk> random_chunks(const World& world, quant::Rng& rng) {
  std::vector<Chunk> chunks;
  for (int seq = 0; seq < kSequences; ++seq) {
    if (rng.below(3) == 0 || world.length(seq) > 250) continue;
    chunks.push_back({seq, rng.below(4) == 0 ? 1 + rng.below(70) : rng.below(3)});
  }
  return chunks;
}

double simulate(const WorldOptions& options, int n_steps, quant::Rng& rng) {
  World world(options);
  DenseStore dense(options);
  double worst = 0.0;
  for (int step = 0; step < n_steps; ++step) {
    const std::vector<Chunk> chunks = random_chunks(world, rng);
    world.step(chunks);
    for (const Chunk& chunk : chunks) dense.append(chunk.seq, chunk.n_rows);
    for (const Chunk& chunk : chunks) {
      for (int row = 0; row < chunk.n_rows; row += 1 + rng.below(8)) {
        const int64_t position = world.length(chunk.seq) - chunk.n_rows + row;
        worst = std::max(worst,
                         dense.error_ratio(chunk.seq, position, world.output(chunk.seq, position)));
      }
    }
    for (int seq = 0; seq < kSequences; ++seq) {
      for (int i = 0; i < world.n_full_blocks(seq); ++i) {
        if (rng.below(4) != 0 || !world.can_seal(seq, i)) continue;
        world.seal(seq, i);
        dense.seal(seq, i);
      }
      if (world.length(seq) > 150 && rng.below(6) == 0) {
        world.free_sequence(seq);
        dense.free_sequence(seq);
      }
    }
  }
  return worst;
}

}  // namespace

TEST_CASE("random steps, seals and reused blocks equal the oracle", "[simulation]") {
  constexpr uint64_t kSeed = 20240117;
  std::cout << "simulation seed " << kSeed << '\n';
  for (const std::string& name : backends_under_test()) {
    quant::Rng rng(kSeed, quant::RngStream::kData);
    double worst = 0.0;
    for (int run = 0; run < (name == "scalar" ? 3 : 12); ++run) {
      WorldOptions options = random_options(name, rng);
      const int head_dim = options.attention.shape.head_dim;
      INFO(name << " run " << run << " " << to_string(options.attention.kv.formats) << " head_dim "
                << head_dim << " " << to_string(options.data));
      const double ratio = simulate(options, 40, rng);
      CHECK(ratio < 1.0);
      worst = std::max(worst, ratio);
    }
    std::cout << "  " << name << ": largest error / tolerance " << worst << '\n';
  }
}

}  // namespace tq::kernels::test
