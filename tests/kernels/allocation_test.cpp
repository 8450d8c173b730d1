// append(), attend() and seal() allocate nothing: this binary counts operator new.
#include <catch2/catch.hpp>

#include <cmath>
#include <string>

#include "tests/kernels/world.h"
#include "tests/support/allocation_count.h"

namespace tq::kernels::test {

TEST_CASE("append, attend and seal allocate nothing", "[allocation]") {
  for (const std::string& name : backends_under_test()) {
    if (name == "scalar") continue;  // allocates, and may
    for (const int head_dim : {80, 128}) {
      WorldOptions options;
      options.backend = name;
      options.attention.shape = {.n_layers = 1, .n_kv_heads = 2, .head_dim = head_dim};
      options.attention.n_heads = 6;
      options.attention.n_threads = 2;
      World world(options);
      world.step({{0, 700}});
      for (int i = 2; i < 16; ++i) world.seal(0, i);

      const std::vector<Chunk> chunks{{0, 1}, {1, 40}};
      const PagedBatch batch = world.make_batch(chunks);
      const AttnPlan* const plan = world.backend().plan(batch, world.arena()).value();
      const std::vector<float> kv(static_cast<size_t>(41 * 2 * head_dim), 0.5f);
      const std::vector<float> q(static_cast<size_t>(41 * 6 * head_dim), 0.25f);
      std::vector<float> out(q.size());
      const long before = tq::test::n_allocations();
      const bool appended =
          world.backend()
              .append({.plan = plan, .arena = &world.arena(), .layer = 0, .k = kv, .v = kv})
              .ok();
      const bool attended = world.backend()
                                .attend({.plan = plan,
                                         .arena = &world.arena(),
                                         .layer = 0,
                                         .scale = 0.1f,
                                         .q = q,
                                         .out = out})
                                .ok();
      const bool sealed =
          world.backend()
              .seal({.arena = &world.arena(), .hot = batch.hot_blocks[0], .sealed = BlockId{0}})
              .ok();
      const long after = tq::test::n_allocations();
      INFO(name << " head_dim " << head_dim);
      CHECK((appended && attended && sealed));
      CHECK(after == before);
    }
  }
}

}  // namespace tq::kernels::test
