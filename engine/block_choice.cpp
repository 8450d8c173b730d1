#include "engine/block_choice.h"

#include <algorithm>
#include <bit>

#include "config/check.h"

namespace tq::engine {

BlockChoice::BlockChoice(int32_t n_blocks) : size_(n_blocks) {
  TQ_CHECK(n_blocks >= 0, "negative pool", n_blocks);
  groups_.resize(static_cast<size_t>((n_blocks + kGroupBlocks - 1) / kGroupBlocks));
  for (int32_t g = 0; g < static_cast<int32_t>(groups_.size()); ++g) {
    const int32_t n = std::min(kGroupBlocks, n_blocks - g * kGroupBlocks);
    groups_[static_cast<size_t>(g)].blocks = (1u << n) - 1;
    link(g);
  }
}

bool BlockChoice::contains(int32_t idx) const noexcept {
  const auto g = static_cast<size_t>(idx / kGroupBlocks);
  return g < groups_.size() && (groups_[g].blocks >> (idx % kGroupBlocks) & 1) != 0;
}

int32_t BlockChoice::choose(int32_t previous) const noexcept {
  if (previous >= 0 && contains(previous + 1)) return previous + 1;
  auto room = static_cast<size_t>(kGroupBlocks);
  while (by_room_[room].first < 0) --room;  // ends above 0, as there are some
  const int32_t g = by_room_[room].first;
  return g * kGroupBlocks + most_room(groups_[static_cast<size_t>(g)].blocks).first;
}

void BlockChoice::remove(int32_t idx) {
  TQ_CHECK(contains(idx), "block cannot be taken", idx);
  const int32_t g = idx / kGroupBlocks;
  set(g, groups_[static_cast<size_t>(g)].blocks & ~(1u << (idx % kGroupBlocks)));
  --size_;
}

void BlockChoice::insert(int32_t idx) {
  TQ_CHECK(!contains(idx), "block can be taken already", idx);
  const int32_t g = idx / kGroupBlocks;
  set(g, groups_[static_cast<size_t>(g)].blocks | 1u << (idx % kGroupBlocks));
  ++size_;
}

BlockChoice::Room BlockChoice::most_room(uint32_t blocks) noexcept {
  Room room;
  // After n turns a bit stands for n + 1 blocks from its own on.
  for (; blocks != 0; blocks &= blocks >> 1) {
    room = {.first = std::countr_zero(blocks), .n = room.n + 1};
  }
  return room;
}

BlockChoice::List& BlockChoice::list_of(uint32_t blocks) noexcept {
  return by_room_[static_cast<size_t>(most_room(blocks).n)];
}

void BlockChoice::set(int32_t group_idx, uint32_t blocks) {
  unlink(group_idx);
  groups_[static_cast<size_t>(group_idx)].blocks = blocks;
  link(group_idx);
}

void BlockChoice::link(int32_t group_idx) {
  Group& group = groups_[static_cast<size_t>(group_idx)];
  List& list = list_of(group.blocks);
  group.previous = list.last;
  group.next = -1;
  (list.last < 0 ? list.first : groups_[static_cast<size_t>(list.last)].next) = group_idx;
  list.last = group_idx;
}

void BlockChoice::unlink(int32_t group_idx) {
  const Group& group = groups_[static_cast<size_t>(group_idx)];
  List& list = list_of(group.blocks);
  (group.previous < 0 ? list.first : groups_[static_cast<size_t>(group.previous)].next) =
      group.next;
  (group.next < 0 ? list.last : groups_[static_cast<size_t>(group.next)].previous) = group.previous;
}

bool BlockChoice::is_consistent() const {
  int32_t n_blocks = 0;
  size_t n_listed = 0;
  for (size_t room = 0; room < by_room_.size(); ++room) {
    for (int32_t g = by_room_[room].first, before = -1; g >= 0;
         before = g, g = groups_[static_cast<size_t>(g)].next) {
      const Group& group = groups_[static_cast<size_t>(g)];
      if (++n_listed > groups_.size()) return false;  // a list without end
      if (group.previous != before) return false;
      if (most_room(group.blocks).n != static_cast<int32_t>(room)) return false;
      n_blocks += std::popcount(group.blocks);
    }
  }
  return n_listed == groups_.size() && n_blocks == size_;
}

}  // namespace tq::engine
