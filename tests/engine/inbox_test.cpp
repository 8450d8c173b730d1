#include "engine/inbox.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <set>
#include <thread>
#include <vector>

using namespace tq;
using namespace tq::engine;

TEST_CASE("the bound counts what was taken but has not started") {
  Inbox inbox(2);
  const auto first = inbox.submit({});
  REQUIRE(first.ok());
  REQUIRE(inbox.submit({}).ok());
  CHECK(inbox.submit({}).error().code == Code::kOverloaded);
  Inbox::Batch batch;
  inbox.take(batch);
  CHECK(batch.submissions.size() == 2);
  CHECK(batch.submissions[0].id == *first);
  CHECK(inbox.submit({}).error().code == Code::kOverloaded);
  inbox.started(*first);
  inbox.started(*first);  // again, as after a preemption: counts once
  CHECK(inbox.submit({}).ok());
  CHECK(inbox.submit({}).error().code == Code::kOverloaded);
  inbox.ended(batch.submissions[1].id);  // ended without having started
  CHECK(inbox.submit({}).ok());
  inbox.ended(*first);
  CHECK(inbox.submit({}).error().code == Code::kOverloaded);
  CHECK(inbox.live() == 2);
}

TEST_CASE("cancels are bounded by live ids") {
  Inbox inbox(4);
  const auto id = inbox.submit({});
  for (int i = 0; i < 1000; ++i) inbox.cancel(*id);
  for (uint64_t i = 100; i < 1100; ++i) inbox.cancel(SeqId{i});
  Inbox::Batch batch;
  inbox.take(batch);
  CHECK(batch.cancels == std::vector<SeqId>{*id});
  inbox.cancel(*id);
  inbox.take(batch);
  CHECK(batch.cancels.empty());
  inbox.ended(*id);
  inbox.cancel(*id);
  inbox.take(batch);
  CHECK(batch.cancels.empty());
}

TEST_CASE("a closed inbox gives its first reason, and what is in it stays") {
  Inbox inbox(4);
  REQUIRE(inbox.submit({}).ok());
  inbox.close({Code::kUnavailable, "draining", {}});
  inbox.close({Code::kInternal, "other", {}});
  const auto refused = inbox.submit({});
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().message == "draining");
  Inbox::Batch batch;
  inbox.take(batch);
  CHECK(batch.submissions.size() == 1);
  CHECK_FALSE(batch.shut_down);
  inbox.shut_down();
  inbox.wait();  // returns at once
  inbox.take(batch);
  CHECK(batch.shut_down);
}

TEST_CASE("many threads in, one out: nothing is lost, doubled, or woken for in vain") {
  constexpr int kThreads = 4;
  constexpr int kEach = 500;
  Inbox inbox(32);
  std::atomic<int> n_refused{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < kEach;) {
        const auto id = inbox.submit({});
        if (!id) {
          ++n_refused;
          std::this_thread::yield();
          continue;
        }
        ++i;
        if (i % 3 == 0) inbox.cancel(*id);
      }
    });
  }
  std::set<SeqId> seen;
  Inbox::Batch batch;
  size_t n_cancels = 0;
  while (seen.size() < kThreads * kEach) {
    inbox.wait();
    inbox.take(batch);
    CHECK(batch.submissions.size() <= 32);
    for (const auto& submission : batch.submissions) {
      CHECK(seen.insert(submission.id).second);
    }
    for (const SeqId id : batch.cancels) CHECK(seen.contains(id));
    n_cancels += batch.cancels.size();
    // Ended in the order of their cancels or later: a cancel may come after its sequence has ended.
    for (const auto& submission : batch.submissions) inbox.ended(submission.id);
  }
  for (auto& thread : threads) thread.join();
  CHECK(inbox.live() == 0);
  CHECK(n_cancels <= kThreads * (kEach / 3));
}
