// Which block a sequence gets: ids that ascend by one, so that attention reads ahead.

#include "engine/block_choice.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdint>
#include <vector>

#include "tests/support/seeded.h"

using namespace tq;
using engine::BlockChoice;

namespace {

// What there was before: the block that was given back last.
class LastBack {
 public:
  explicit LastBack(int32_t n_blocks) {
    for (int32_t idx = n_blocks - 1; idx >= 0; --idx) blocks_.push_back(idx);
  }
  int32_t size() const { return static_cast<int32_t>(blocks_.size()); }
  int32_t choose(int32_t) const { return blocks_.back(); }
  void remove(int32_t) { blocks_.pop_back(); }
  void insert(int32_t idx) { blocks_.push_back(idx); }

 private:
  std::vector<int32_t> blocks_;
};

using Blocks = std::vector<int32_t>;

template <class Choice>
void grow(Choice& choice, Blocks& blocks) {
  blocks.push_back(choice.choose(blocks.empty() ? -1 : blocks.back()));
  choice.remove(blocks.back());
}

struct Steps {
  int64_t n_blocks = 0;
  int64_t n_runs = 0;
  void add(const Blocks& blocks) {
    for (size_t i = 0; i < blocks.size(); ++i) {
      ++n_blocks;
      n_runs += i == 0 || blocks[i] != blocks[i - 1] + 1;
    }
  }
  double run_length() const { return static_cast<double>(n_blocks) / static_cast<double>(n_runs); }
};

// Sequences come, take a prompt's blocks at once, grow in turn by one, and end, while they hold at
// most `share` of the pool. Counts the runs of those that end after the first half.
template <class Choice>
double run_length_after_churn(uint64_t seed, double share) {
  constexpr int32_t kTotal = 1000;
  constexpr int kRounds = 20'000;
  struct Growing {
    Blocks blocks;
    size_t n_wanted = 0;
  };
  test::Seeded random(seed);
  Choice choice(kTotal);
  std::vector<Growing> all;
  int64_t n_promised = 0;
  Steps steps;
  for (int round = 0; round < kRounds; ++round) {
    const int64_t n_prompt = random.in(1, 40);
    const int64_t n_wanted = n_prompt + random.in(0, 40);
    if (static_cast<double>(n_promised + n_wanted) <= share * kTotal) {
      Growing& one = all.emplace_back(Growing{.blocks = {}, .n_wanted = size_t(n_wanted)});
      for (int64_t i = 0; i < n_prompt; ++i) grow(choice, one.blocks);
      n_promised += n_wanted;
    }
    for (Growing& one : all) {
      if (one.blocks.size() < one.n_wanted && random.chance(0.5)) grow(choice, one.blocks);
    }
    std::erase_if(all, [&](const Growing& one) {
      if (one.blocks.size() < one.n_wanted) return false;
      if (round > kRounds / 2) steps.add(one.blocks);
      for (auto it = one.blocks.rbegin(); it != one.blocks.rend(); ++it) choice.insert(*it);
      n_promised -= static_cast<int64_t>(one.n_wanted);
      return true;
    });
  }
  return steps.run_length();
}

}  // namespace

TEST_CASE("a long prompt in a fresh pool is one run") {
  BlockChoice choice(100);
  Blocks blocks;
  for (int i = 0; i < 100; ++i) grow(choice, blocks);
  CHECK(choice.empty());
  Steps steps;
  steps.add(blocks);
  CHECK(steps.n_runs == 1);
  CHECK(choice.is_consistent());
}

TEST_CASE("sequences that grow in turn have runs of a whole group") {
  BlockChoice choice(10 * BlockChoice::kGroupBlocks);
  std::vector<Blocks> all(3);
  for (int i = 0; i < 3 * BlockChoice::kGroupBlocks; ++i) {
    for (Blocks& blocks : all) grow(choice, blocks);
  }
  Steps steps;
  for (const Blocks& blocks : all) steps.add(blocks);
  CHECK(steps.n_runs == 9);
}

TEST_CASE("a run begins where there is most room, and gaps are filled when nothing else is left") {
  BlockChoice choice(2 * BlockChoice::kGroupBlocks + 3);
  for (const int32_t idx : {4, 12, 16, 18, 25}) choice.remove(idx);
  CHECK(choice.choose(-1) == 5);   // 5 to 11
  CHECK(choice.choose(12) == 13);  // the next one, though there is little room
  CHECK(choice.choose(15) == 5);   // 16 is taken
  CHECK(choice.choose(34) == 5);   // the last one of all
  Blocks order;
  while (!choice.empty()) {
    order.push_back(choice.choose(-1));
    choice.remove(order.back());
    REQUIRE(choice.is_consistent());
  }
  CHECK(order.size() == 30);
  // Not before only the last block of each of the seven rooms is left.
  CHECK(std::ranges::find(order, 17) - order.begin() >= 23);
}

TEST_CASE("runs stay long through churn, whatever share of the pool is in use") {
  for (const double share : {0.4, 0.7, 0.95}) {
    for (uint64_t seed = 1; seed <= 3; ++seed) {
      const double before = run_length_after_churn<LastBack>(seed, share);
      const double now = run_length_after_churn<BlockChoice>(seed, share);
      INFO("seed " << seed << ", share " << share << ": runs of " << now << " blocks, not "
                   << before);
      CHECK(before < 2);
      CHECK(now > 8);
    }
  }
}

TEST_CASE("the choice equals the set that it stands for") {
  const uint64_t seed = 5;
  INFO("seed " << seed);
  test::Seeded random(seed);
  for (const int32_t n_blocks : {0, 1, 15, 16, 17, 75}) {
    BlockChoice choice(n_blocks);
    std::vector<bool> in(static_cast<size_t>(n_blocks), true);
    for (int round = 0; round < 2000 && n_blocks > 0; ++round) {
      const auto idx = static_cast<int32_t>(random.in(0, n_blocks - 1));
      in[static_cast<size_t>(idx)] ? choice.remove(idx) : choice.insert(idx);
      in[static_cast<size_t>(idx)].flip();
      REQUIRE(choice.size() == std::ranges::count(in, true));
      REQUIRE(choice.contains(idx) == in[static_cast<size_t>(idx)]);
      REQUIRE(choice.is_consistent());
      if (choice.empty()) continue;
      const auto previous = static_cast<int32_t>(random.in(-1, n_blocks - 1));
      const int32_t chosen = choice.choose(previous);
      REQUIRE(in[static_cast<size_t>(chosen)]);
      const auto next = static_cast<size_t>(previous + 1);
      if (previous >= 0 && next < in.size() && in[next]) REQUIRE(chosen == previous + 1);
    }
    CHECK_FALSE(choice.contains(n_blocks));
  }
}
