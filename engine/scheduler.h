#pragma once
// Scheduler: decides what each step computes. Pure: no clock, no thread, no I/O; engine thread
// only.
//
// There are no phases. Each step gives every sequence some of its known - computed tokens under one
// budget: first the sequences that lack one token (decode), then longer rests (prompts,
// recomputation), then waiting sequences, each group in order of rank (priority, then arrival).
//
// When blocks run out, the sequence of the worst rank is preempted: its blocks go back, its tokens
// stay known, and it waits to go on from a copy of its blocks in the host's pools, or, where these
// are full, to be recomputed. Forward progress: the best-ranked running sequence can
// preempt all others and alone fits into the pools (context_max() sees to that), so every step
// advances it.

#include <cstdint>
#include <memory>
#include <span>
#include <unordered_map>
#include <vector>

#include "config/ids.h"
#include "config/kv_config.h"
#include "config/result.h"
#include "engine/block_pool.h"
#include "engine/kv_needs.h"
#include "engine/sequence.h"
#include "engine/sequence_blocks.h"
#include "engine/step.h"

namespace tq::engine {

struct SchedulerOptions {
  KvConfig kv;
  kernels::PoolSizes pools;
  kernels::PoolSizes host_pools{};
  int seqs_max = 1;
  int step_tokens_max = 1;
  int64_t context_max = 1;
};

// In place of a sampled token: the row could not be sampled. The sequence is to be removed.
inline constexpr TokenId kNoToken = -1;

class Scheduler {
 public:
  explicit Scheduler(const SchedulerOptions& options);
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;

  // Tokens that one sequence may have: options.context_max, or less if the pools hold no more.
  int64_t context_max() const noexcept { return context_max_; }

  // kContextLength: the tokens and one more would not fit. Ids are the caller's and must be new.
  Result<void> submit(SeqId id, std::vector<TokenId> tokens, int priority);

  // Ends a sequence, at any stage; its blocks stay cached where they can. Named by a step in
  // flight, it is freed by commit() or abandon(). Unknown ids are ignored.
  void remove(SeqId id);

  // The next step; empty if there is nothing to compute. Valid until commit() or abandon(), one of
  // which must follow if it is not empty.
  const StepPlan& schedule();

  // sampled: one token per item with `sample`, in the items' order, or kNoToken.
  void commit(std::span<const TokenId> sampled);
  // The step failed: nothing of it was computed. Its sequences are removed.
  void abandon();

  // Sequences that the last schedule() admitted for the first time.
  std::span<const SeqId> admitted() const noexcept { return admitted_; }
  const Sequence* find(SeqId id) const noexcept;
  size_t n_running() const noexcept { return running_.size(); }
  size_t n_waiting() const noexcept { return waiting_.size(); }
  uint64_t n_preemptions() const noexcept { return n_preemptions_; }
  uint64_t n_swapped_out() const noexcept { return n_swapped_out_; }  // blocks
  uint64_t n_swapped_in() const noexcept { return n_swapped_in_; }
  uint64_t n_prefix_queries() const noexcept { return n_prefix_queries_; }  // tokens
  uint64_t n_prefix_hits() const noexcept { return n_prefix_hits_; }        // tokens
  int64_t n_tokens_held() const noexcept;
  const BlockPool& pool() const noexcept { return pool_; }
  const BlockPool& host_pool() const noexcept { return host_pool_; }

  // The pools' invariants, and that their references are exactly those of the sequences.
  Result<void> check_invariants() const;

 private:
  friend struct SchedulerTestPeer;      // plants bugs, so that tests prove that they would be seen
  using Rank = std::vector<Sequence*>;  // best first

  void plan_group(bool decode);
  void plan_one(size_t rank_idx);
  void admit();
  bool try_take(Sequence& sequence);
  void preempt_worst();
  void emit();
  void undo_swaps();
  Result<void> check_references(const BlockPool& pool, bool host) const;
  void free_removed(Sequence& sequence);
  static void insert_by_rank(Rank& list, Sequence* sequence);
  static void erase_from(Rank& list, const Sequence* sequence);

  SchedulerOptions options_;
  KvNeeds needs_;
  int64_t context_max_ = 0;
  size_t running_max_ = 1;
  BlockPool pool_;
  BlockPool host_pool_;
  SequenceBlocks blocks_;

  std::unordered_map<SeqId, std::unique_ptr<Sequence>> sequences_;
  Rank running_;
  Rank waiting_;
  uint64_t n_arrivals_ = 0;

  StepPlan plan_;
  Rank planned_;            // plan_.items, as sequences
  Rank leaving_;            // whose blocks plan_ swaps out
  Rank returning_;          // in; the host's copies are kept until commit()
  bool in_flight_ = false;  // plan_ is with a runner
  int32_t budget_ = 0;      // tokens left in the plan that is being made
  bool short_of_blocks_ = false;
  std::vector<SeqId> admitted_;

  uint64_t n_preemptions_ = 0;
  uint64_t n_swapped_out_ = 0;
  uint64_t n_swapped_in_ = 0;
  uint64_t n_prefix_queries_ = 0;
  uint64_t n_prefix_hits_ = 0;
};

}  // namespace tq::engine
