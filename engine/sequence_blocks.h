#pragma once
// SequenceBlocks moves blocks between the pool and a sequence: reserves what an item needs, finds a
// cached prefix, publishes and seals at commit, gives everything back. Engine thread only;
// stateless but for the pools it refers to.
//
// The rule it keeps: what position p sees as sealed is [sink, sealed_until(p)), whatever the batch,
// the chunks, preemption or prefix reuse did (config/kv_config.h).

#include <cstdint>
#include <span>
#include <vector>

#include "config/kv_config.h"
#include "engine/block_pool.h"
#include "engine/kv_needs.h"
#include "engine/sequence.h"
#include "engine/step.h"

namespace tq::engine {

class SequenceBlocks {
 public:
  // host: the pools of ordinary memory, without an index.
  SequenceBlocks(const KvConfig& kv, BlockPool& pool, BlockPool& host)
      : kv_(kv), pool_(pool), host_(host) {}

  // Takes blocks for up to n_max tokens from n_computed on, and what must be sealed before them.
  // Returns how many tokens fit, 0 if none (then nothing is taken). Never crosses a seal point.
  int32_t reserve(Sequence& sequence, int64_t n_max);

  // Takes the longest usable cached prefix of a sequence that holds nothing, leaving at least one
  // token to compute. A prefix of m tokens is usable if its blocks are there exactly as position m
  // sees them: sinks and [sealed_until(m), m) hot, the rest sealed. So reuse never changes what a
  // token attends to.
  void take_prefix(Sequence& sequence);

  // The reserved item was computed: the sealed blocks replace the hot ones, full blocks are
  // published. content_is_good: false keeps them out of the index.
  void commit(Sequence& sequence, bool content_is_good);

  // Gives everything back, tail first, so that eviction takes the tail of a prefix before its head.
  // What is parked stays so.
  void release(Sequence& sequence);

  // release() of a preempted sequence whose blocks the host will keep, by `swaps`. False where it
  // has none, or the host has too little room: then only what was reserved is given back.
  bool park(Sequence& sequence, SwapOps& swaps);

  // Takes what the index still has of the blocks that a sequence has parked: the first of them.
  void take_parked_prefix(Sequence& sequence);
  // Then blocks for the others, for swap_in() to fill. There must be so many.
  void unpark(Sequence& sequence);
  void swap_in(const Sequence& sequence, SwapOps& swaps) const;

  // The host's blocks are not needed any more.
  void drop_parked(Sequence& sequence);

  // release(), and takes what no other sequence uses out of the index: its content is in doubt.
  void release_and_forget(Sequence& sequence);

 private:
  int64_t sealed_end(const Sequence& sequence) const noexcept;
  int64_t n_sinks() const noexcept { return kv_.sink_tokens / kv_.block_tokens; }
  std::span<const TokenId> tokens_of(const Sequence& sequence, int64_t block_idx) const;
  void cancel_reserved(Sequence& sequence);
  void reserve_seals(Sequence& sequence, int32_t n_blocks);
  void publish(Sequence& sequence);
  size_t hot_slot(const Sequence& sequence, int64_t block_idx) const;

  const KvConfig& kv_;
  BlockPool& pool_;
  BlockPool& host_;
  std::vector<EntryIdx> path_;  // workspace of take_prefix()
};

}  // namespace tq::engine
