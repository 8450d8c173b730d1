// Every attention kernel once, in tiny worlds against the dense oracle: all formats, dimensions and
// numbers of queries, with and without a bias of keys. Hidden: fibers take minutes for it, PTX does
// not.
#include <catch2/catch.hpp>

#include "tests/kernels/dense_store.h"
#include "tests/kernels/world.h"

namespace tq::kernels::test {
namespace {

constexpr KvFormat kFormats[] = {KvFormat::kBf16, KvFormat::kTq8, KvFormat::kTq4, KvFormat::kTq3,
                                 KvFormat::kTq2};

// The largest error over its tolerance. With three heads to a key, one row is for the kernel of 4
// queries, two are for that of 8, and 65 for prefill.
double run(const WorldOptions& options) {
  World world(options);
  DenseStore dense(options);
  double worst = 0.0;
  for (const int n_rows : {65, 1, 2}) {
    world.step({{0, n_rows}});
    dense.append(0, n_rows);
    const int64_t position = world.length(0) - 1;
    worst = std::max(worst, dense.error_ratio(0, position, world.output(0, position)));
    if (world.is_sealed(0, 0)) continue;
    world.seal(0, 0);
    dense.seal(0, 0);
  }
  return world.poison_intact() ? worst : 100.0;
}

}  // namespace

TEST_CASE("every attention kernel once", "[.every_kernel]") {
  for (const int head_dim : {64, 80, 96, 128, 256}) {
    for (const KvFormat k : kFormats) {
      for (const KvFormat v : kFormats) {
        for (const bool is_biased : {false, true}) {
          WorldOptions options;
          options.backend = backends_under_test().front();
          options.attention.shape = {.n_layers = 1, .n_kv_heads = 1, .head_dim = head_dim};
          options.attention.kv.formats = {k, v};
          options.attention.n_heads = 3;
          options.seed = static_cast<uint64_t>(1000 * head_dim + static_cast<int>(k) * 8 +
                                               static_cast<int>(v));
          if (is_biased) {
            options.key_bias = 0.3f;
            options.rope_pairs = head_dim / 2;
          }
          INFO(to_string(KvFormats{k, v})
               << " head_dim " << head_dim << (is_biased ? ", with a bias" : ""));
          CHECK(run(options) < 1.0);
        }
      }
    }
  }
}

}  // namespace tq::kernels::test
