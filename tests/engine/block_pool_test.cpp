#include "engine/block_pool.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <numeric>
#include <vector>

#include "tests/support/seeded.h"

using namespace tq;
using namespace tq::engine;

namespace {

constexpr int kBlock = 4;

std::vector<TokenId> tokens_from(TokenId first) {
  std::vector<TokenId> tokens(kBlock);
  std::iota(tokens.begin(), tokens.end(), first);
  return tokens;
}

void require_sound(const BlockPool& pool) {
  const auto sound = pool.check_invariants();
  INFO((sound.ok() ? "" : sound.error().describe()));
  REQUIRE(sound.ok());
}

}  // namespace

TEST_CASE("allocate gives each block once, then nothing") {
  BlockPool pool({.hot_blocks = 3, .sealed_blocks = 1}, kBlock);
  std::vector<bool> seen(3, false);
  for (int i = 0; i < 3; ++i) {
    const auto block = pool.allocate(Pool::kHot, kNoBlock);
    REQUIRE(block.has_value());
    CHECK_FALSE(seen[static_cast<size_t>(raw(*block))]);
    seen[static_cast<size_t>(raw(*block))] = true;
  }
  CHECK_FALSE(pool.allocate(Pool::kHot, kNoBlock).has_value());
  CHECK(pool.available(Pool::kSealed) == 1);
  pool.unref(Pool::kHot, BlockId{1});
  CHECK(pool.available(Pool::kHot) == 1);
  CHECK(pool.used(Pool::kHot) == 2);
  CHECK(pool.allocate(Pool::kHot, kNoBlock) == BlockId{1});
  require_sound(pool);
}

TEST_CASE("a released block stays cached until the pool needs it, oldest first") {
  BlockPool pool({.hot_blocks = 3, .sealed_blocks = 0}, kBlock);
  std::vector<EntryIdx> entries;
  for (int i = 0; i < 3; ++i) {
    const auto block = *pool.allocate(Pool::kHot, kNoBlock);
    entries.push_back(pool.publish(Pool::kHot, kNoEntry, tokens_from(10 * i), block).entry);
    pool.unref(Pool::kHot, block);
  }
  CHECK(pool.available(Pool::kHot) == 3);
  // Used again: no longer the oldest.
  const BlockId first = pool.version(Pool::kHot, entries[0]);
  pool.ref(Pool::kHot, first);
  pool.unref(Pool::kHot, first);
  const auto block = *pool.allocate(Pool::kHot, kNoBlock);
  CHECK(pool.find(kNoEntry, tokens_from(10)) == kNoEntry);
  CHECK(pool.find(kNoEntry, tokens_from(0)) == entries[0]);
  CHECK(pool.find(kNoEntry, tokens_from(20)) == entries[2]);
  pool.unref(Pool::kHot, block);
  require_sound(pool);
}

TEST_CASE("the same tokens after another prefix are another block") {
  BlockPool pool({.hot_blocks = 4, .sealed_blocks = 0}, kBlock);
  const auto a =
      pool.publish(Pool::kHot, kNoEntry, tokens_from(0), *pool.allocate(Pool::kHot, kNoBlock));
  const auto b =
      pool.publish(Pool::kHot, kNoEntry, tokens_from(50), *pool.allocate(Pool::kHot, kNoBlock));
  const auto after_a =
      pool.publish(Pool::kHot, a.entry, tokens_from(7), *pool.allocate(Pool::kHot, kNoBlock));
  const auto after_b =
      pool.publish(Pool::kHot, b.entry, tokens_from(7), *pool.allocate(Pool::kHot, kNoBlock));
  CHECK(after_a.entry != after_b.entry);
  CHECK(pool.find(a.entry, tokens_from(7)) == after_a.entry);
  CHECK(pool.find(b.entry, tokens_from(7)) == after_b.entry);
  CHECK(pool.find(kNoEntry, tokens_from(7)) == kNoEntry);
  require_sound(pool);
}

TEST_CASE("publishing what the index has moves the reference to its block") {
  BlockPool pool({.hot_blocks = 2, .sealed_blocks = 2}, kBlock);
  const auto mine = *pool.allocate(Pool::kHot, kNoBlock);
  const auto yours = *pool.allocate(Pool::kHot, kNoBlock);
  const auto first = pool.publish(Pool::kHot, kNoEntry, tokens_from(0), mine);
  const auto second = pool.publish(Pool::kHot, kNoEntry, tokens_from(0), yours);
  CHECK(first.block == mine);
  CHECK(second.entry == first.entry);
  CHECK(second.block == mine);
  CHECK(pool.refs(Pool::kHot, mine) == 2);
  CHECK(pool.available(Pool::kHot) == 1);
  const auto sealed = *pool.allocate(Pool::kSealed, kNoBlock);
  CHECK(pool.publish_sealed(first.entry, sealed) == sealed);
  CHECK(pool.publish_sealed(first.entry, *pool.allocate(Pool::kSealed, kNoBlock)) == sealed);
  CHECK(pool.refs(Pool::kSealed, sealed) == 2);
  require_sound(pool);
}

TEST_CASE("an entry lives while one version does, and takes what is below it along") {
  BlockPool pool({.hot_blocks = 3, .sealed_blocks = 1}, kBlock);
  const auto parent =
      pool.publish(Pool::kHot, kNoEntry, tokens_from(0), *pool.allocate(Pool::kHot, kNoBlock));
  const auto child =
      pool.publish(Pool::kHot, parent.entry, tokens_from(4), *pool.allocate(Pool::kHot, kNoBlock));
  const auto sealed = *pool.allocate(Pool::kSealed, kNoBlock);
  pool.publish_sealed(parent.entry, sealed);
  pool.unref(Pool::kHot, parent.block);  // the older in the cache
  pool.unref(Pool::kHot, child.block);
  pool.unref(Pool::kSealed, sealed);

  REQUIRE(pool.allocate(Pool::kHot, kNoBlock).has_value());  // the third, free one
  REQUIRE(pool.allocate(Pool::kHot, kNoBlock).has_value());  // the parent's hot version
  CHECK(pool.version(Pool::kHot, parent.entry) == kNoBlock);
  CHECK(pool.find(kNoEntry, tokens_from(0)) == parent.entry);
  CHECK(pool.find(parent.entry, tokens_from(4)) == child.entry);
  require_sound(pool);

  REQUIRE(
      pool.allocate(Pool::kSealed, kNoBlock).has_value());  // its last version: the child goes too
  CHECK(pool.n_entries() == 0);
  CHECK(pool.available(Pool::kHot) == 1);
  require_sound(pool);
}

TEST_CASE("forget drops only what nobody uses") {
  BlockPool pool({.hot_blocks = 3, .sealed_blocks = 0}, kBlock);
  const auto parent =
      pool.publish(Pool::kHot, kNoEntry, tokens_from(0), *pool.allocate(Pool::kHot, kNoBlock));
  const auto child =
      pool.publish(Pool::kHot, parent.entry, tokens_from(4), *pool.allocate(Pool::kHot, kNoBlock));
  CHECK_FALSE(pool.forget(child.entry));  // referenced
  pool.unref(Pool::kHot, child.block);
  CHECK_FALSE(pool.forget(parent.entry));  // has an entry below it
  CHECK(pool.forget(child.entry));
  CHECK_FALSE(pool.forget(parent.entry));
  pool.unref(Pool::kHot, parent.block);
  CHECK(pool.forget(parent.entry));
  CHECK(pool.n_entries() == 0);
  CHECK(pool.available(Pool::kHot) == 3);
  require_sound(pool);
}

TEST_CASE("only the oldest eighth is evicted, and what may be evicted is still found") {
  constexpr int32_t kTotal = 80;
  const uint64_t seed = 12;
  INFO("seed " << seed);
  test::Seeded random(seed);
  BlockPool pool({.hot_blocks = kTotal, .sealed_blocks = 0}, kBlock);
  struct Cached {
    BlockId block;
    EntryIdx entry;
  };
  std::vector<Cached> cached;  // the oldest first
  TokenId n_prompts = 0;
  int n_evicted = 0;
  for (int round = 0; round < 5000; ++round) {
    if (!cached.empty() && random.chance(0.3)) {  // a hit
      const auto it = cached.begin() + random.in(0, std::ssize(cached) - 1);
      const Cached hit = *it;
      REQUIRE(pool.version(Pool::kHot, hit.entry) == hit.block);
      pool.ref(Pool::kHot, hit.block);
      pool.unref(Pool::kHot, hit.block);
      cached.erase(it);
      cached.push_back(hit);
      continue;
    }
    const BlockId block = *pool.allocate(Pool::kHot, kNoBlock);
    const auto evicted =
        std::ranges::find_if(cached, [&](const Cached& c) { return c.block == block; });
    if (evicted != cached.end()) {
      ++n_evicted;
      REQUIRE(evicted - cached.begin() < kTotal / 8);
      cached.erase(evicted);
    }
    const auto published =
        pool.publish(Pool::kHot, kNoEntry, tokens_from(kBlock * n_prompts++), block);
    REQUIRE(pool.n_entries() == std::ssize(cached) + 1);
    pool.unref(Pool::kHot, block);
    cached.push_back({.block = block, .entry = published.entry});
    if (round % 50 == 0) require_sound(pool);
  }
  CHECK(n_evicted > 3000);
  CHECK(std::ssize(cached) > kTotal * 9 / 10);
}

// Prompts come, grow in turn and end, and all of them stay cached as long as they can.
TEST_CASE("runs stay long when the cache fills the pool") {
  constexpr int32_t kTotal = 1000;
  constexpr size_t kSequences = 10;
  const uint64_t seed = 3;
  INFO("seed " << seed);
  test::Seeded random(seed);
  BlockPool pool({.hot_blocks = 0, .sealed_blocks = kTotal}, kBlock);
  struct Growing {
    EntryIdx last = kNoEntry;
    std::vector<BlockId> blocks;
    size_t n_wanted = 0;
  };
  std::vector<Growing> all(kSequences);
  TokenId n_tokens = 0;
  int64_t n_blocks = 0;
  int64_t n_runs = 0;
  const auto grow = [&](Growing& one) {
    const BlockId previous = one.blocks.empty() ? kNoBlock : one.blocks.back();
    const BlockId block = *pool.allocate(Pool::kSealed, previous);
    one.last = pool.publish(Pool::kSealed, one.last, tokens_from(n_tokens += kBlock), block).entry;
    one.blocks.push_back(block);
    if (n_tokens < 100'000) return;  // the pool is full of cached blocks by far
    ++n_blocks;
    n_runs += raw(block) != raw(previous) + 1 || previous == kNoBlock;
  };
  while (n_tokens < 400'000) {
    Growing& one = all[static_cast<size_t>(random.in(0, kSequences - 1))];
    if (one.blocks.size() < one.n_wanted) {
      grow(one);
      continue;
    }
    for (auto it = one.blocks.rbegin(); it != one.blocks.rend(); ++it) {
      pool.unref(Pool::kSealed, *it);
    }
    one = {};
    const int64_t n_prompt = random.in(1, 40);
    one.n_wanted = static_cast<size_t>(n_prompt + random.in(0, 20));
    for (int64_t i = 0; i < n_prompt; ++i) grow(one);
    require_sound(pool);
  }
  CHECK(pool.n_entries() > kTotal * 85 / 100);
  INFO(n_blocks << " blocks in " << n_runs << " runs");
  CHECK(n_blocks > 5 * n_runs);
}

TEST_CASE("random use keeps the pool sound") {
  const uint64_t seed = 99;
  INFO("seed " << seed);
  test::Seeded random(seed);
  const auto sizes = GENERATE(kernels::PoolSizes{9, 5}, kernels::PoolSizes{24, 17});
  BlockPool pool(sizes, kBlock);
  struct Held {
    Pool pool;
    BlockId block;
  };
  struct Path {  // a sequence: versions of all its entries
    std::vector<EntryIdx> entries;
    std::vector<Held> held;
  };
  std::vector<Path> paths(3);
  for (int round = 0; round < 20'000; ++round) {
    Path& path = paths[static_cast<size_t>(random.in(0, 2))];
    const EntryIdx parent = path.entries.empty() ? kNoEntry : path.entries.back();
    if (random.chance(0.2) || path.entries.size() >= 4) {
      for (auto it = path.held.rbegin(); it != path.held.rend(); ++it)
        pool.unref(it->pool, it->block);
      path = {};
    } else if (const auto hot = pool.allocate(Pool::kHot, kNoBlock)) {
      const auto published = pool.publish(Pool::kHot, parent,
                                          tokens_from(static_cast<TokenId>(random.in(0, 1))), *hot);
      path.entries.push_back(published.entry);
      path.held.push_back({Pool::kHot, published.block});
      const auto sealed =
          random.chance(0.5) ? pool.allocate(Pool::kSealed, kNoBlock) : std::nullopt;
      if (sealed) {  // seal it: the sealed version replaces the hot one
        const BlockId kept = pool.publish_sealed(published.entry, *sealed);
        pool.unref(Pool::kHot, published.block);
        path.held.back() = {Pool::kSealed, kept};
      }
    }
    if (round % 50 == 0) require_sound(pool);
  }
  for (Path& path : paths) {
    for (auto it = path.held.rbegin(); it != path.held.rend(); ++it)
      pool.unref(it->pool, it->block);
  }
  require_sound(pool);
  CHECK(pool.used(Pool::kHot) + pool.used(Pool::kSealed) == 0);
}
