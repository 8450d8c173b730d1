#include "engine/scheduler.h"

#include <algorithm>
#include <string>

#include "config/check.h"

namespace tq::engine {

Scheduler::Scheduler(const SchedulerOptions& options)
    : options_(options),
      needs_(options.kv),
      // A decoding sequence takes one token of the budget: with at most as many sequences as
      // tokens, all of them advance in each step, and a prompt beside them always gets at least one
      // token.
      running_max_(
          static_cast<size_t>(std::max(1, std::min(options.seqs_max, options.step_tokens_max)))),
      pool_(options.pools, options.kv.block_tokens),
      host_pool_(options.host_pools, options.kv.block_tokens),
      blocks_(options_.kv, pool_, host_pool_) {
  TQ_CHECK(options.step_tokens_max >= 1, "step_tokens_max must be positive",
           options.step_tokens_max);
  context_max_ = needs_.length_max(options.pools, options.context_max);
}

Result<void> Scheduler::submit(SeqId id, std::vector<TokenId> tokens, int priority) {
  TQ_CHECK(!tokens.empty() && !sequences_.contains(id), "bad submission", raw(id), tokens.size());
  const auto n_tokens = static_cast<int64_t>(tokens.size());
  if (n_tokens + 1 > context_max_) {
    return Error{Code::kContextLength,
                 "the prompt has " + std::to_string(n_tokens) +
                     " tokens and needs one more, but a "
                     "sequence may have " +
                     std::to_string(context_max_) +
                     (context_max_ < options_.context_max ? " (all that the KV pools hold)" : ""),
                 "prompt"};
  }
  auto sequence = std::make_unique<Sequence>();
  sequence->id = id;
  sequence->priority = priority;
  sequence->arrival = n_arrivals_++;
  sequence->tokens = std::move(tokens);
  sequence->n_prompt = n_tokens;
  insert_by_rank(waiting_, sequence.get());
  sequences_.emplace(id, std::move(sequence));
  return {};
}

void Scheduler::remove(SeqId id) {
  const auto found = sequences_.find(id);
  if (found == sequences_.end()) return;
  Sequence& sequence = *found->second;
  if (in_flight_ && sequence.n_planned > 0) {
    sequence.doomed = true;
    return;
  }
  free_removed(sequence);
}

void Scheduler::free_removed(Sequence& sequence) {
  blocks_.release(sequence);
  blocks_.drop_parked(sequence);
  for (Rank* list : {&running_, &waiting_, &leaving_, &returning_}) erase_from(*list, &sequence);
  sequences_.erase(sequence.id);
}

const StepPlan& Scheduler::schedule() {
  TQ_CHECK(!in_flight_, "schedule() before commit() of the last step");
  plan_.swaps_out.clear();
  plan_.swaps_in.clear();
  plan_.seals.clear();
  plan_.items.clear();
  plan_.n_tokens = 0;
  planned_.clear();
  admitted_.clear();
  budget_ = options_.step_tokens_max;
  short_of_blocks_ = false;

  plan_group(/*decode=*/true);
  plan_group(/*decode=*/false);
  admit();
  emit();
  in_flight_ = !plan_.empty();
  if (!in_flight_) undo_swaps();  // nobody will run them
  return plan_;
}

void Scheduler::plan_group(bool decode) {
  // running_ shrinks from its end while sequences are preempted.
  for (size_t i = 0; i < running_.size() && budget_ > 0; ++i) {
    if (running_[i]->n_planned == 0 && (running_[i]->n_left() == 1) == decode) plan_one(i);
  }
}

// Preempts from the end of the ranks until the sequence has room; gives up when it is the last
// itself: then better ones hold the blocks, and they advance.
void Scheduler::plan_one(size_t rank_idx) {
  Sequence& sequence = *running_[rank_idx];
  while (true) {
    const int64_t n_max = std::min<int64_t>(sequence.n_left(), budget_);
    const int32_t n = blocks_.reserve(sequence, n_max);
    budget_ -= n;
    if (n > 0) return;
    short_of_blocks_ = true;
    if (rank_idx + 1 >= running_.size()) return;
    preempt_worst();
  }
}

void Scheduler::preempt_worst() {
  Sequence& victim = *running_.back();
  running_.pop_back();
  budget_ += victim.n_planned;  // it may be in the plan that is being made
  std::erase(admitted_, victim.id);
  if (blocks_.park(victim, plan_.swaps_out)) {
    leaving_.push_back(&victim);
  } else {
    blocks_.release(victim);
  }
  insert_by_rank(waiting_, &victim);
  ++n_preemptions_;
}

void Scheduler::admit() {
  while (!waiting_.empty() && budget_ > 0 && !short_of_blocks_ && running_.size() < running_max_) {
    Sequence& sequence = *waiting_.front();
    if (!try_take(sequence)) return;  // strictly in order of rank: no small one slips past for ever
    waiting_.erase(waiting_.begin());
    insert_by_rank(running_, &sequence);
    if (!sequence.admitted_before) {
      sequence.admitted_before = true;
      sequence.n_cached = sequence.n_computed;
      admitted_.push_back(sequence.id);
    }
    if (sequence.parked.empty()) {
      n_prefix_queries_ += static_cast<uint64_t>(sequence.n_known());
      n_prefix_hits_ += static_cast<uint64_t>(sequence.n_computed);
    } else {
      blocks_.swap_in(sequence, plan_.swaps_in);
      returning_.push_back(&sequence);
    }
    const int32_t n = blocks_.reserve(sequence, std::min<int64_t>(sequence.n_left(), budget_));
    budget_ -= n;
    short_of_blocks_ = n == 0;
  }
}

// Takes the cached prefix, or blocks for what is parked, if the pools can hold the sequence up to
// its next generated block beside what the running ones will still need for theirs. Else a burst of
// prompts would be admitted only to be preempted one by one. Evicts nothing if they cannot.
bool Scheduler::try_take(Sequence& sequence) {
  const bool is_parked = !sequence.parked.empty();
  if (is_parked) {
    blocks_.take_parked_prefix(sequence);
  } else {
    blocks_.take_prefix(sequence);
  }
  int64_t hot = 0;
  int64_t sealed = 0;
  const auto add_need = [&](const Sequence& s) {
    const int64_t length = std::min(s.n_known() + options_.kv.block_tokens, context_max_);
    const auto held = static_cast<int64_t>(s.hot_blocks.size() + s.retiring.size());
    hot += std::max<int64_t>(0, needs_.hot_peak(length) - held);
    sealed +=
        std::max<int64_t>(0, needs_.sealed(length) - static_cast<int64_t>(s.sealed_blocks.size()));
  };
  add_need(sequence);
  for (const Sequence* other : running_) add_need(*other);
  if (hot > pool_.available(Pool::kHot) || sealed > pool_.available(Pool::kSealed)) {
    blocks_.release(sequence);
    return false;
  }
  if (is_parked) blocks_.unpark(sequence);
  return true;
}

void Scheduler::emit() {
  for (Sequence* sequence : running_) {
    if (sequence->n_planned == 0) continue;
    for (const RetiringBlock& retiring : sequence->retiring) {
      if (retiring.coded) plan_.seals.push_back({.hot = retiring.hot, .sealed = retiring.sealed});
    }
    const auto first = static_cast<size_t>(sequence->n_computed);
    const auto n = static_cast<size_t>(sequence->n_planned);
    plan_.items.push_back({.seq = sequence->id,
                           .first = static_cast<int32_t>(first),
                           .tokens = std::span<const TokenId>(sequence->tokens).subspan(first, n),
                           .hot_blocks = sequence->hot_blocks,
                           .hot_first = sequence->hot_first,
                           .sealed_blocks = sequence->sealed_blocks,
                           .sample = first + n == sequence->tokens.size()});
    plan_.n_tokens += sequence->n_planned;
    planned_.push_back(sequence);
  }
}

void Scheduler::commit(std::span<const TokenId> sampled) {
  TQ_CHECK(in_flight_, "commit() without a step");
  in_flight_ = false;
  n_swapped_out_ += plan_.swaps_out.size();
  n_swapped_in_ += plan_.swaps_in.size();
  leaving_.clear();
  for (Sequence* sequence : returning_) blocks_.drop_parked(*sequence);
  returning_.clear();
  size_t sample_idx = 0;
  for (size_t i = 0; i < planned_.size(); ++i) {
    Sequence& sequence = *planned_[i];
    TokenId token = kNoToken;
    bool good = true;
    if (plan_.items[i].sample) {
      TQ_CHECK(sample_idx < sampled.size(), "fewer tokens than sampled items", sampled.size());
      token = sampled[sample_idx++];
      good = token != kNoToken;
    }
    blocks_.commit(sequence, good);
    if (token != kNoToken) sequence.tokens.push_back(token);
    if (!good) blocks_.release_and_forget(sequence);
    if (sequence.doomed || !good) free_removed(sequence);
  }
  TQ_CHECK(sample_idx == sampled.size(), "more tokens than sampled items", sampled.size());
  planned_.clear();
  plan_.items.clear();  // their spans may dangle now
}

void Scheduler::abandon() {
  TQ_CHECK(in_flight_, "abandon() without a step");
  in_flight_ = false;
  for (Sequence* sequence : planned_) free_removed(*sequence);
  planned_.clear();
  plan_.items.clear();
  undo_swaps();
}

// The plan's copies were not made, or may not have been. Who was to leave is recomputed; who was to
// return waits for it again.
void Scheduler::undo_swaps() {
  for (Sequence* sequence : leaving_) blocks_.drop_parked(*sequence);
  leaving_.clear();
  for (Sequence* sequence : returning_) {
    blocks_.release(*sequence);
    erase_from(running_, sequence);
    insert_by_rank(waiting_, sequence);
  }
  returning_.clear();
}

const Sequence* Scheduler::find(SeqId id) const noexcept {
  const auto found = sequences_.find(id);
  return found == sequences_.end() ? nullptr : found->second.get();
}

int64_t Scheduler::n_tokens_held() const noexcept {
  int64_t n = 0;
  for (const Sequence* sequence : running_) n += sequence->n_computed;
  return n;
}

void Scheduler::insert_by_rank(Rank& list, Sequence* sequence) {
  const auto place = std::ranges::upper_bound(
      list, sequence, [](const Sequence* a, const Sequence* b) { return a->before(*b); });
  list.insert(place, sequence);
}

void Scheduler::erase_from(Rank& list, const Sequence* sequence) { std::erase(list, sequence); }

Result<void> Scheduler::check_references(const BlockPool& pool, bool host) const {
  TQ_TRY(pool.check_invariants());
  std::unordered_map<int64_t, int32_t> refs;  // block, and the pool in the sign
  const auto key = [](Pool kind, BlockId block) {
    return kind == Pool::kHot ? int64_t{raw(block)} : -1 - int64_t{raw(block)};
  };
  for (const auto& [id, sequence] : sequences_) {
    const ParkedBlocks& parked = sequence->parked;
    for (const BlockId block : host ? parked.hot : sequence->hot_blocks) {
      ++refs[key(Pool::kHot, block)];
    }
    for (const BlockId block : host ? parked.sealed : sequence->sealed_blocks) {
      ++refs[key(Pool::kSealed, block)];
    }
    if (host) continue;
    for (const RetiringBlock& r : sequence->retiring) ++refs[key(Pool::kHot, r.hot)];
  }
  for (const Pool kind : {Pool::kHot, Pool::kSealed}) {
    for (int32_t i = 0; i < pool.total(kind); ++i) {
      const auto found = refs.find(key(kind, BlockId{i}));
      const int32_t expected = found == refs.end() ? 0 : found->second;
      if (pool.refs(kind, BlockId{i}) != expected) {
        return Error{Code::kInternal,
                     std::string(host ? "the host's " : "") + "block " + std::to_string(i) +
                         " has " + std::to_string(pool.refs(kind, BlockId{i})) +
                         " references, the sequences hold " + std::to_string(expected),
                     kind == Pool::kHot ? "hot" : "sealed"};
      }
    }
  }
  return {};
}

Result<void> Scheduler::check_invariants() const {
  TQ_TRY(check_references(pool_, /*host=*/false));
  TQ_TRY(check_references(host_pool_, /*host=*/true));
  if (running_.size() + waiting_.size() != sequences_.size()) {
    return Error{Code::kInternal, "a sequence is neither running nor waiting", "scheduler"};
  }
  return {};
}

}  // namespace tq::engine
