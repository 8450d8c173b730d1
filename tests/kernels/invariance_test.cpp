// The output of a row depends on its sequence's tokens and its position alone: the same bits alone
// and in any batch, for any chunking of its prefill, for any number of threads.
#include <catch2/catch.hpp>

#include <cstring>

#include "tests/kernels/world.h"

namespace tq::kernels::test {
namespace {

WorldOptions invariance_options(const std::string& backend, int n_threads) {
  WorldOptions options;
  options.backend = backend;
  options.attention.shape = {.n_layers = 1, .n_kv_heads = 2, .head_dim = 64};
  options.attention.kv.formats = {KvFormat::kTq4, KvFormat::kTq3};
  options.attention.n_heads = 6;
  options.attention.n_threads = n_threads;
  options.data =
      Data::kGrowing;  // rescales differ from part to part, so a change of their order shows
  options.key_bias = 0.3f;
  options.rope_pairs = 32;
  options.seed = 99;
  options.pools = {.hot_blocks = 200, .sealed_blocks = 200};
  return options;
}

// Blocks 2 .. until are sealed once the sequence is `at` tokens long.
void seal_until(World& world, int seq, int until) {
  for (int i = 2; i < until; ++i) {
    if (!world.is_sealed(seq, i)) world.seal(seq, i);
  }
}

// 1300 tokens, so that there are three parts: 640 in chunks, blocks 2 to 11 sealed, the rest in
// chunks.
void feed(World& world, int seq, int chunk, const std::vector<Chunk>& others) {
  for (const auto& [end, until] : {std::pair{640, 12}, {1300, 0}}) {
    while (world.length(seq) < end) {
      std::vector<Chunk> chunks = others;
      chunks.insert(chunks.begin() + static_cast<ptrdiff_t>(others.size() / 2),
                    {seq, std::min(chunk, end - static_cast<int>(world.length(seq)))});
      world.step(chunks);
    }
    seal_until(world, seq, until);
  }
}

// Positions whose outputs must be the same bits, and the first that are not.
int64_t first_difference(const World& a, const World& b, int seq) {
  for (int64_t position = 0; position < a.length(seq); ++position) {
    const std::vector<float>& x = a.output(seq, position);
    const std::vector<float>& y = b.output(seq, position);
    if (x.size() != y.size() || std::memcmp(x.data(), y.data(), x.size() * sizeof(float)) != 0) {
      return position;
    }
  }
  return -1;
}

}  // namespace

TEST_CASE("outputs have the same bits in any batch, chunking and number of threads",
          "[invariance]") {
  for (const std::string& name : backends_under_test()) {
    if (name == "scalar") continue;  // one row at a time: nothing to vary
    World alone(invariance_options(name, 1));
    feed(alone, 4, 1300, {});
    for (const auto& [chunk, n_threads] :
         {std::pair{1300, 2}, {97, 1}, {32, 3}, {256, 2}, {650, 1}}) {
      World world(invariance_options(name, n_threads));
      world.step({{0, 70}, {1, 5}});
      feed(world, 4, chunk,
           chunk == 97 ? std::vector<Chunk>{{0, 1}, {1, 3}, {2, 1}} : std::vector<Chunk>{{1, 1}});
      INFO(name << " chunk " << chunk << " threads " << n_threads);
      CHECK(first_difference(alone, world, 4) == -1);
    }
  }
}

TEST_CASE("decoding row by row gives the bits of prefilling", "[invariance]") {
  for (const std::string& name : backends_under_test()) {
    World whole(invariance_options(name, 1));
    World rows(invariance_options(name, 2));
    whole.step({{0, 70}});
    rows.step({{0, 1}});
    while (rows.length(0) < 70) rows.step({{0, 1}});
    INFO(name);
    CHECK(first_difference(whole, rows, 0) == -1);
    // A long decode is split over the threads: three parts here.
    whole.step({{0, 1231}});
    rows.step({{0, 1100}});
    while (rows.length(0) < 1301) rows.step({{0, 1}});
    CHECK(first_difference(whole, rows, 0) == -1);
  }
}

}  // namespace tq::kernels::test
