// append(), attend() and seal() allocate nothing: this binary counts operator new.
#include <catch2/catch.hpp>

#include <atomic>
#include <cmath>
#include <cstdlib>
#include <new>

#include "tests/kernels/world.h"

namespace {

std::atomic<long> n_allocations{0};

void* counted(std::size_t n, std::size_t alignment) {
  n_allocations.fetch_add(1, std::memory_order_relaxed);
  void* const p = alignment == 0
                      ? std::malloc(n > 0 ? n : 1)
                      : std::aligned_alloc(alignment, (n + alignment - 1) / alignment * alignment);
  if (p == nullptr) throw std::bad_alloc();
  return p;
}

}  // namespace

void* operator new(std::size_t n) { return counted(n, 0); }
void* operator new[](std::size_t n) { return counted(n, 0); }
void* operator new(std::size_t n, std::align_val_t a) {
  return counted(n, static_cast<std::size_t>(a));
}
void* operator new[](std::size_t n, std::align_val_t a) {
  return counted(n, static_cast<std::size_t>(a));
}
// The nothrow forms too: sanitizers bring their own, which must not meet our delete.
void* operator new(std::size_t n, const std::nothrow_t&) noexcept {
  n_allocations.fetch_add(1, std::memory_order_relaxed);
  return std::malloc(n > 0 ? n : 1);
}
void* operator new[](std::size_t n, const std::nothrow_t&) noexcept {
  n_allocations.fetch_add(1, std::memory_order_relaxed);
  return std::malloc(n > 0 ? n : 1);
}
void operator delete(void* p, const std::nothrow_t&) noexcept { std::free(p); }
void operator delete[](void* p, const std::nothrow_t&) noexcept { std::free(p); }
void operator delete(void* p) noexcept { std::free(p); }
void operator delete[](void* p) noexcept { std::free(p); }
void operator delete(void* p, std::size_t) noexcept { std::free(p); }
void operator delete[](void* p, std::size_t) noexcept { std::free(p); }
void operator delete(void* p, std::align_val_t) noexcept { std::free(p); }
void operator delete[](void* p, std::align_val_t) noexcept { std::free(p); }
void operator delete(void* p, std::size_t, std::align_val_t) noexcept { std::free(p); }
void operator delete[](void* p, std::size_t, std::align_val_t) noexcept { std::free(p); }

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
      const long before = n_allocations.load();
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
      const long after = n_allocations.load();
      INFO(name << " head_dim " << head_dim);
      CHECK((appended && attended && sealed));
      CHECK(after == before);
    }
  }
}

}  // namespace tq::kernels::test
