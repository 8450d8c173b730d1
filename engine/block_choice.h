#pragma once
// BlockChoice: the blocks of a pool that may be taken, and which of them a sequence gets next.
// Owned by BlockPool, engine thread only.
//
// Attention reads the blocks of a sequence in order, and faster where their ids ascend by one: then
// they lie side by side. So a sequence goes on at the next id while that may be taken. Where it may
// not, and for a new sequence, a run begins where a group of kGroupBlocks has most of them in a
// row: at best a whole group, room to grow. Each call looks at a few words.

#include <array>
#include <cstdint>
#include <vector>

namespace tq::engine {

class BlockChoice {
 public:
  static constexpr int32_t kGroupBlocks = 16;

  explicit BlockChoice(int32_t n_blocks);  // all of them

  int32_t size() const noexcept { return size_; }
  bool empty() const noexcept { return size_ == 0; }
  bool contains(int32_t idx) const noexcept;

  // The block for a sequence whose last one is `previous` (-1: it has none). Not if empty().
  int32_t choose(int32_t previous) const noexcept;
  void remove(int32_t idx);
  void insert(int32_t idx);

  bool is_consistent() const;

 private:
  struct Room {  // blocks in a row, in a group
    int32_t first = 0;
    int32_t n = 0;
  };
  struct Group {
    uint32_t blocks = 0;    // a bit for each that may be taken
    int32_t previous = -1;  // in the list of those with as much room
    int32_t next = -1;
  };

  struct List {  // of groups; those that came first lead
    int32_t first = -1;
    int32_t last = -1;
  };

  static Room most_room(uint32_t blocks) noexcept;
  List& list_of(uint32_t blocks) noexcept;
  void set(int32_t group_idx, uint32_t blocks);
  void link(int32_t group_idx);
  void unlink(int32_t group_idx);

  int32_t size_ = 0;
  std::vector<Group> groups_;
  std::array<List, kGroupBlocks + 1> by_room_;
};

}  // namespace tq::engine
