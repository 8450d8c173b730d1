// Every backend against the dense oracle and against the scalar backend's bytes: formats x
// head_dims x groups x odd sizes x kinds of data, block ids shuffled, memory poisoned.
#include <algorithm>
#include <catch2/catch.hpp>

#include <cmath>

#include "tests/kernels/dense_store.h"
#include "tests/kernels/regions.h"
#include "tests/kernels/world.h"

namespace tq::kernels::test {
namespace {

constexpr KvFormat kFormats[] = {KvFormat::kBf16, KvFormat::kTq8, KvFormat::kTq4, KvFormat::kTq3,
                                 KvFormat::kTq2};
constexpr int kHeadDims[] = {64, 80, 96, 128, 256};

WorldOptions world_options(const std::string& backend, KvFormats formats, int head_dim, int group) {
  WorldOptions options;
  options.backend = backend;
  options.attention.shape = {.n_layers = 1, .n_kv_heads = 2, .head_dim = head_dim};
  options.attention.kv.formats = formats;
  options.attention.n_heads = 2 * group;
  options.seed = static_cast<uint64_t>(
      1000 * head_dim + 10 * group + static_cast<int>(formats.k) * 4 + static_cast<int>(formats.v));
  return options;
}

// Feeds a sequence in the given chunks, sealing each full block as soon as it lies before the next
// row, except every `hot_every`-th (0: seal none). Checks the last row of each chunk.
double feed(
    World& world, DenseStore& dense, int seq, const std::vector<int>& chunks, int hot_every) {
  double worst = 0.0;
  for (const int n : chunks) {
    world.step({{seq, n}});
    dense.append(seq, n);
    const int64_t position = world.length(seq) - 1;
    worst = std::max(worst, dense.error_ratio(seq, position, world.output(seq, position)));
    for (int i = 0; hot_every > 0 && i < world.n_full_blocks(seq); ++i) {
      if (i % hot_every == 0 || world.is_sealed(seq, i)) continue;
      world.seal(seq, i);
      dense.seal(seq, i);
    }
  }
  return worst;
}

bool same_bytes(const World& a, const World& b) {
  return std::ranges::all_of(test::kRegions, [&](test::Region region) {
    return std::ranges::equal(test::bytes_of(a.arena(), region), test::bytes_of(b.arena(), region));
  });
}

}  // namespace

TEST_CASE("every pair of formats and head_dim equals the oracle", "[attention]") {
  int group = 1;
  for (const KvFormat k : kFormats) {
    for (const KvFormat v : kFormats) {
      for (const int head_dim : kHeadDims) {
        group = group % 16 + 1;  // all groups in turn
        const WorldOptions scalar_options = world_options("scalar", {k, v}, head_dim, group);
        World scalar(scalar_options);
        DenseStore scalar_dense(scalar_options);
        const std::vector<int> chunks{33, 31, 34, 1, 35, 1};
        const double scalar_ratio = feed(scalar, scalar_dense, 7, chunks, 3);
        INFO(to_string(KvFormats{k, v}) << " head_dim " << head_dim << " group " << group);
        CHECK(scalar_ratio < 1.0);
        for (const std::string& name : backends_under_test()) {
          if (name == "scalar") continue;
          INFO(name);
          const WorldOptions options = world_options(name, {k, v}, head_dim, group);
          World world(options);
          DenseStore dense(options);
          CHECK(feed(world, dense, 7, chunks, 3) < 1.0);
          CHECK(same_bytes(world, scalar));
          CHECK(world.poison_intact());
        }
      }
    }
  }
}

// No query is rounded and values are bf16, so that a wrong level, codebook or scale of a key shows,
// which is no larger than the rounding of queries.
TEST_CASE("scores of whole queries have no error of their own", "[attention]") {
  for (const std::string& name : backends_under_test()) {
    for (const KvFormat k : {KvFormat::kTq8, KvFormat::kTq4, KvFormat::kTq3, KvFormat::kTq2}) {
      for (const int group : {3, 8}) {
        WorldOptions options = world_options(name, {k, KvFormat::kBf16}, 64, group);
        options.whole_queries = true;
        World world(options);
        DenseStore dense(options);
        INFO(name << " " << to_string(k) << " group " << group);
        CHECK(feed(world, dense, 4, {97, 1, 33, 1}, 5) < 1.0);
      }
    }
  }
}

// Where hundreds of keys share the weight, a value that is wrong hardly shows; and the last keys,
// which are hot, have the largest weights elsewhere.
TEST_CASE("sealed values with nearly all the weight", "[attention]") {
  for (const std::string& name : backends_under_test()) {
    for (const KvFormat v : {KvFormat::kTq8, KvFormat::kTq4, KvFormat::kTq3, KvFormat::kTq2}) {
      for (const int group : {3, 8}) {
        WorldOptions options = world_options(name, {KvFormat::kTq4, v}, 128, group);
        options.data = Data::kPeaked;
        World world(options);
        DenseStore dense(options);
        INFO(name << " " << to_string(v) << " group " << group);
        CHECK(feed(world, dense, 6, {97, 1, 3, 1, 30}, 3) < 1.0);
      }
    }
  }
}

// Three tiles to a block, for backends whose warps or threads take every n-th. Queries are whole,
// so that a tile that is missed or taken twice shows among hundreds of keys.
TEST_CASE("blocks of three tiles", "[attention]") {
  for (const std::string& name : backends_under_test()) {
    WorldOptions options = world_options(name, {KvFormat::kTq4, KvFormat::kBf16}, 64, 4);
    options.attention.kv.block_tokens = 96;
    options.whole_queries = true;
    World world(options);
    DenseStore dense(options);
    INFO(name);
    CHECK(feed(world, dense, 1, {290, 1, 200, 1}, 5) < 1.0);
  }
}

TEST_CASE("odd lengths, decode and prefill, all groups", "[attention]") {
  for (const std::string& name : backends_under_test()) {
    for (int group = 1; group <= 16; ++group) {
      for (const int n : {1, 2, 31, 32, 33, 63, 64, 65, 127, 129}) {
        if (name == "scalar" && group % 5 != 1) continue;  // slow, and the same code for all
        WorldOptions options = world_options(name, {KvFormat::kTq4, KvFormat::kTq4}, 64, group);
        options.attention.shape.n_kv_heads = 1;
        options.attention.n_heads = group;
        World world(options);
        DenseStore dense(options);
        INFO(name << " group " << group << " n " << n);
        CHECK(feed(world, dense, 0, {n, 1, 1, 31, 1}, 2) < 1.0);
      }
    }
  }
}

TEST_CASE("a key bias adds its share to the scores, wherever the key lies", "[attention]") {
  for (const std::string& name : backends_under_test()) {
    for (const KvFormats formats :
         {KvFormats{KvFormat::kTq4, KvFormat::kTq4}, KvFormats{KvFormat::kTq3, KvFormat::kTq2},
          KvFormats{KvFormat::kBf16, KvFormat::kBf16}}) {
      for (const int head_dim : {64, 80}) {
        for (const bool interleaved : {false, true}) {
          for (const int pairs : {head_dim / 2, head_dim / 4}) {
            WorldOptions options = world_options(name, formats, head_dim, 3);
            options.key_bias = 0.3f;  // attention stays spread over many keys
            options.rope_interleaved = interleaved;
            options.rope_pairs = pairs;
            options.attention.kv.block_tokens = interleaved ? 32 : 64;
            World world(options);
            DenseStore dense(options);
            INFO(name << " " << to_string(formats) << " head_dim " << head_dim << " pairs " << pairs
                      << " interleaved " << interleaved);
            CHECK(feed(world, dense, 3, {40, 1, 90, 1, 31, 1}, 2) < 1.0);
          }
        }
      }
      // Biases that would drown the keys if they were coded with them.
      WorldOptions options = world_options(name, formats, 64, 2);
      options.key_bias = 500.0f;
      options.rope_pairs = 32;
      World world(options);
      DenseStore dense(options);
      CHECK(feed(world, dense, 3, {150, 1, 1}, 2) < 1.0);
    }
  }
}

// Queries are whole and values bf16, so that a tile that is turned by another's position shows.
TEST_CASE("a key bias turns with the positions of each sequence", "[attention]") {
  for (const std::string& name : backends_under_test()) {
    WorldOptions options = world_options(name, {KvFormat::kTq4, KvFormat::kBf16}, 64, 3);
    options.attention.kv.block_tokens = 64;
    options.whole_queries = true;
    options.key_bias = 0.3f;
    options.rope_pairs = 32;
    World world(options);
    DenseStore dense(options);
    INFO(name);
    CHECK(feed(world, dense, 0, {290}, 2) < 1.0);  // blocks 1 and 3 are sealed
    CHECK(feed(world, dense, 1, {290}, 5) < 1.0);  // 1, 2 and 3
    world.step({{0, 1}, {1, 1}});
    for (const int seq : {0, 1}) {
      dense.append(seq, 1);
      CHECK(dense.error_ratio(seq, 290, world.output(seq, 290)) < 1.0);
    }
  }
}

TEST_CASE("adversarial data", "[attention]") {
  for (const std::string& name : backends_under_test()) {
    for (const Data data : {Data::kGrowing, Data::kEqual, Data::kTiny, Data::kHuge, Data::kSpiky}) {
      for (const KvFormats formats :
           {KvFormats{KvFormat::kTq4, KvFormat::kTq3}, KvFormats{KvFormat::kTq2, KvFormat::kTq4},
            KvFormats{KvFormat::kTq3, KvFormat::kTq2}, KvFormats{KvFormat::kBf16, KvFormat::kBf16},
            KvFormats{KvFormat::kBf16, KvFormat::kTq4}}) {
        WorldOptions options = world_options(name, formats, 128, 3);
        options.data = data;
        World world(options);
        DenseStore dense(options);
        INFO(name << " " << to_string(data) << " " << to_string(formats));
        const std::vector<int> chunks = name == "scalar" ? std::vector<int>{40, 1, 90, 1}  // slow
                                                         : std::vector<int>{40, 1, 150, 1, 200, 1};
        CHECK(feed(world, dense, 3, chunks, 4) < 1.0);
      }
    }
  }
}

// Weights x scales become integers in steps of a fraction of the largest such product of a tile.
// Here all products are about equal; in steps of that fraction of the largest weight times the
// largest scale they would be one or two steps each.
TEST_CASE("a token that is looked at most and has small values does not coarsen the others",
          "[attention]") {
  for (const KvFormat v : {KvFormat::kTq8, KvFormat::kTq4, KvFormat::kTq3, KvFormat::kTq2}) {
    for (const int n_rows : {1, 8}) {
      const auto run = [&](const std::string& backend) {
        WorldOptions options = world_options(backend, {KvFormat::kTq4, v}, 64, 3);
        options.data = Data::kHeavy;
        World world(options);
        world.step({{0, 64}});
        for (int i = 0; i < 2; ++i) world.seal(0, i);
        world.step({{0, n_rows}});
        return world.output(0, 63 + n_rows);
      };
      const std::vector<float> want = run("scalar");
      for (const std::string& name : backends_under_test()) {
        const std::vector<float> got = run(name);
        double error = 0.0, size = 0.0;
        for (size_t i = 0; i < want.size(); ++i) {
          error += (got[i] - want[i]) * (got[i] - want[i]);
          size += want[i] * want[i];
        }
        // Of what a token counts: half a step of a 127th, where its product of weight and scale is
        // half of the largest, and as much for its score, the query having 127 steps too.
        INFO(name << " V " << to_string(KvFormats{v, v}) << " rows " << n_rows);
        CHECK(std::sqrt(error / size) < 2.0 / 127.0);
      }
    }
  }
}

TEST_CASE("several parts: contexts of more than 1024 tokens", "[attention]") {
  for (const std::string& name : backends_under_test()) {
    if (name == "scalar") continue;  // has no parts, and would take minutes
    for (const int n_threads : {1, 2}) {
      for (const Data data : {Data::kGaussian, Data::kGrowing, Data::kSpiky}) {
        WorldOptions options = world_options(name, {KvFormat::kTq4, KvFormat::kTq3}, 64, 3);
        options.data = data;
        options.attention.n_threads = n_threads;
        World world(options);
        DenseStore dense(options);
        INFO(name << " " << to_string(data) << " threads " << n_threads);
        // 512 and 1024 are the edges of parts; the long chunks fold as they go, the rows of one are
        // split.
        CHECK(feed(world, dense, 2, {510, 1, 1, 1, 509, 1, 1, 1, 200, 1}, 3) < 1.0);
      }
    }
  }
}

TEST_CASE("a ragged batch of decodes and prefills", "[attention]") {
  for (const std::string& name : backends_under_test()) {
    for (const int block_tokens : {32, 64}) {
      WorldOptions options = world_options(name, {KvFormat::kTq4, KvFormat::kTq2}, 96, 4);
      options.attention.kv.block_tokens = block_tokens;
      options.attention.n_threads = 2;
      World world(options);
      DenseStore dense(options);
      INFO(name << " block_tokens " << block_tokens);
      for (const auto& [seq, n] : {std::pair{0, 200}, {1, 65}, {2, 1}}) {
        CHECK(feed(world, dense, seq, {n}, 3) < 1.0);
      }
      const std::vector<Chunk> chunks{{0, 1}, {5, 130}, {1, 40}, {2, 1}, {6, 31}};
      world.step(chunks);
      for (const Chunk& chunk : chunks) dense.append(chunk.seq, chunk.n_rows);
      for (const Chunk& chunk : chunks) {
        for (int64_t row = 0; row < chunk.n_rows; row += 7) {
          const int64_t position = world.length(chunk.seq) - chunk.n_rows + row;
          INFO("sequence " << chunk.seq << " position " << position);
          CHECK(dense.error_ratio(chunk.seq, position, world.output(chunk.seq, position)) < 1.0);
        }
      }
      CHECK(world.poison_intact());
    }
  }
}

TEST_CASE("a batch without tokens does nothing", "[attention]") {
  for (const std::string& name : backends_under_test()) {
    World world(world_options(name, {}, 64, 2));
    world.step({});
    world.step({{0, 5}});
    world.step({{0, 0}, {1, 3}});
    CHECK(world.length(0) == 5);
    CHECK(world.length(1) == 3);
  }
}

}  // namespace tq::kernels::test
