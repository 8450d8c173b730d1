#pragma once
// Sequence: what the scheduler knows about one job: its tokens, how many of them are computed, and
// the blocks that it holds. A plain value; owned by the scheduler, engine thread only.

#include <cstdint>
#include <span>
#include <vector>

#include "config/ids.h"
#include "engine/block_pool.h"

namespace tq::engine {

// A hot block whose sealed version the step in flight makes (or the prefix index already had). The
// sequence holds both until the step is committed.
struct RetiringBlock {
  BlockId hot = kNoBlock;
  BlockId sealed = kNoBlock;
  int32_t block_idx = 0;  // in the sequence
  bool coded = false;     // by a SealOp of this step
};

// Where the host keeps the blocks of a preempted sequence, in the order in which it held them.
struct ParkedBlocks {
  std::vector<BlockId> hot;  // ids of the host's pools
  std::vector<BlockId> sealed;
  int64_t n_tokens = 0;  // computed; 0: nothing is parked

  bool empty() const noexcept { return n_tokens == 0; }
};

struct Sequence {
  SeqId id{};
  int priority = 0;
  uint64_t arrival = 0;  // order of submission

  std::vector<TokenId> tokens;  // known: the prompt, then what was generated
  int64_t n_prompt = 0;
  int64_t n_computed = 0;  // tokens whose rows lie in the blocks below
  int64_t n_cached = 0;    // of the prompt, found by the prefix index when it was first admitted
  bool admitted_before = false;

  // Blocks of [0, sink) and [sealed end, n_computed + planned), and of [sink, sealed end).
  std::vector<BlockId> hot_blocks;
  std::vector<int32_t> hot_first;
  std::vector<BlockId> sealed_blocks;
  // Index entry of each full, computed block (with the prefix cache on). Those that came back from
  // the host get theirs when their step is committed.
  std::vector<EntryIdx> entries;
  std::vector<RetiringBlock> retiring;
  ParkedBlocks parked;  // beside blocks of its own only while a step brings them back

  int32_t n_planned = 0;  // tokens in the plan that is being made or in flight
  bool doomed = false;    // removed while a submitted step names it: freed at commit

  int64_t n_known() const noexcept { return static_cast<int64_t>(tokens.size()); }
  int64_t n_left() const noexcept { return n_known() - n_computed; }

  // Better rank: served first, preempted last.
  bool before(const Sequence& other) const noexcept {
    return priority != other.priority ? priority < other.priority : arrival < other.arrival;
  }
};

}  // namespace tq::engine
