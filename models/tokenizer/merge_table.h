#pragma once
// MergeTable: (left id, right id) -> rank and merged id, a flat hash table of 16-byte entries,
// since this lookup is what encoding spends its time on. Immutable once filled; any thread.

#include <cstddef>
#include <cstdint>
#include <vector>

namespace tq::models::text {

struct MergeRule {
  int32_t left = 0;
  int32_t right = 0;
  int32_t rank = 0;    // lower is merged first; equal ranks go left to right
  int32_t merged = 0;  // id of the joined piece
};

class MergeTable {
 public:
  struct Hit {
    int32_t rank;
    int32_t merged;
  };

  MergeTable() : MergeTable(std::vector<MergeRule>{}) {}

  // Of two rules for one pair the later wins.
  explicit MergeTable(const std::vector<MergeRule>& rules) {
    size_t capacity = 16;
    while (capacity < rules.size() * 2) capacity *= 2;
    entries_.resize(capacity);
    for (const MergeRule& rule : rules) {
      const uint64_t key = key_of(rule.left, rule.right);
      size_t at = slot(key);
      while (entries_[at].key != kEmpty && entries_[at].key != key) at = (at + 1) & mask();
      entries_[at] = {key, {rule.rank, rule.merged}};
    }
  }

  // nullptr: the pair does not merge.
  const Hit* find(int32_t left, int32_t right) const noexcept {
    const uint64_t key = key_of(left, right);
    for (size_t at = slot(key); entries_[at].key != kEmpty; at = (at + 1) & mask()) {
      if (entries_[at].key == key) return &entries_[at].hit;
    }
    return nullptr;
  }

 private:
  static constexpr uint64_t kEmpty = ~uint64_t{0};  // no pair: ids are not negative

  struct Entry {
    uint64_t key = kEmpty;
    Hit hit{};
  };
  static_assert(sizeof(Entry) == 16);

  static uint64_t key_of(int32_t left, int32_t right) noexcept {
    return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
  }
  size_t mask() const noexcept { return entries_.size() - 1; }
  // Fibonacci hashing; the high half of the product depends on every bit of the key.
  size_t slot(uint64_t key) const noexcept {
    return static_cast<size_t>((key * 0x9E3779B97F4A7C15ull) >> 32) & mask();
  }

  std::vector<Entry> entries_;  // a power of two, at most half full
};

}  // namespace tq::models::text
