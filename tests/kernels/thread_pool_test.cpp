// The thread pool: every item once, any number of jobs, results visible to the caller.
#include <catch2/catch.hpp>

#include <atomic>
#include <thread>
#include <vector>

#include "kernels/cpu/thread_pool.h"

namespace tq::kernels::cpu {

TEST_CASE("every item runs once, in every job", "[thread_pool]") {
  for (const int n_threads : {1, 2, 3, 8}) {
    ThreadPool pool(n_threads);
    CHECK(pool.n_threads() == n_threads);
    struct Context {
      std::vector<int> count;
      std::vector<int> thread;
    } context;
    for (int job = 0; job < 300; ++job) {
      const int n_items = job % 17;
      context.count.assign(static_cast<size_t>(n_items), 0);
      context.thread.assign(static_cast<size_t>(n_items), -1);
      pool.run(
          n_items,
          [](void* raw, int item, int thread) {
            auto& mine = *static_cast<Context*>(raw);
            ++mine.count[static_cast<size_t>(
                item)];  // plain ints: two threads on one item show under TSan
            mine.thread[static_cast<size_t>(item)] = thread;
          },
          &context);
      for (int item = 0; item < n_items; ++item) {
        REQUIRE(context.count[static_cast<size_t>(item)] == 1);
        REQUIRE(context.thread[static_cast<size_t>(item)] >= 0);
        REQUIRE(context.thread[static_cast<size_t>(item)] < n_threads);
      }
    }
  }
}

TEST_CASE("what a busy thread has not begun is done by others", "[thread_pool]") {
  constexpr int kItems = 20;
  for (const int n_threads : {2, 4}) {
    ThreadPool pool(n_threads);
    std::atomic<int> n_others{0};
    pool.run(
        kItems,
        [](void* raw, int item, int) {
          auto& others = *static_cast<std::atomic<int>*>(raw);
          if (item != 0) {
            ++others;
            return;
          }
          while (others.load() < kItems - 1) std::this_thread::yield();
        },
        &n_others);
    CHECK(n_others.load() == kItems - 1);
  }
}

TEST_CASE("pools that never ran a job stop", "[thread_pool]") {
  for (int i = 0; i < 20; ++i) ThreadPool pool(4);
  SUCCEED();
}

}  // namespace tq::kernels::cpu
