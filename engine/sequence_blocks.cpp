#include "engine/sequence_blocks.h"

#include <algorithm>

#include "config/check.h"

namespace tq::engine {

namespace {

BlockId last_of(const std::vector<BlockId>& blocks) {
  return blocks.empty() ? kNoBlock : blocks.back();
}

}  // namespace

int64_t SequenceBlocks::sealed_end(const Sequence& sequence) const noexcept {
  return kv_.sink_tokens + static_cast<int64_t>(sequence.sealed_blocks.size()) * kv_.block_tokens;
}

// Where block `block_idx` lies in hot_blocks: sinks first, then what follows the sealed part.
size_t SequenceBlocks::hot_slot(const Sequence& sequence, int64_t block_idx) const {
  const auto n_sealed = static_cast<int64_t>(sequence.sealed_blocks.size());
  return static_cast<size_t>(block_idx < n_sinks() ? block_idx : block_idx - n_sealed);
}

std::span<const TokenId> SequenceBlocks::tokens_of(const Sequence& sequence,
                                                   int64_t block_idx) const {
  const auto n = static_cast<size_t>(kv_.block_tokens);
  return std::span(sequence.tokens).subspan(static_cast<size_t>(block_idx) * n, n);
}

int32_t SequenceBlocks::reserve(Sequence& sequence, int64_t n_max) {
  TQ_CHECK(sequence.n_planned == 0 && sequence.retiring.empty(), "sequence has an item already",
           raw(sequence.id));
  const int64_t first = sequence.n_computed;
  const int64_t block = kv_.block_tokens;
  const int64_t to_seal_point = kv_.seal_stride_tokens - first % kv_.seal_stride_tokens;

  const int64_t seal_until = sealed_until(kv_, first);
  const auto n_seals =
      static_cast<int32_t>(std::max<int64_t>(0, (seal_until - sealed_end(sequence)) / block));
  if (n_seals > pool_.available(Pool::kSealed)) return 0;

  const int64_t covered = (first + block - 1) / block * block;  // by the blocks it has
  const int64_t room = covered - first + pool_.available(Pool::kHot) * block;
  const int64_t n = std::min({n_max, to_seal_point, room});
  if (n <= 0) return 0;

  reserve_seals(sequence, n_seals);
  for (int64_t start = covered; start < first + n; start += block) {
    const auto hot = pool_.allocate(Pool::kHot, last_of(sequence.hot_blocks));
    TQ_CHECK(hot.has_value(), "hot pool gave fewer blocks than it promised", raw(sequence.id));
    sequence.hot_blocks.push_back(*hot);
    sequence.hot_first.push_back(static_cast<int32_t>(start));
  }
  sequence.n_planned = static_cast<int32_t>(n);
  return sequence.n_planned;
}

void SequenceBlocks::reserve_seals(Sequence& sequence, int32_t n_blocks) {
  if (n_blocks == 0) return;
  const auto slot = static_cast<size_t>(n_sinks());
  const auto first_idx = static_cast<int32_t>(sealed_end(sequence) / kv_.block_tokens);
  // Versions that the index has are taken first: allocating may evict those that nobody holds.
  for (int32_t i = 0; i < n_blocks; ++i) {
    RetiringBlock retiring{.hot = sequence.hot_blocks[slot + static_cast<size_t>(i)],
                           .block_idx = first_idx + i};
    if (static_cast<size_t>(retiring.block_idx) < sequence.entries.size()) {
      retiring.sealed =
          pool_.version(Pool::kSealed, sequence.entries[static_cast<size_t>(retiring.block_idx)]);
      if (retiring.sealed != kNoBlock) pool_.ref(Pool::kSealed, retiring.sealed);
    }
    sequence.retiring.push_back(retiring);
  }
  for (RetiringBlock& retiring : sequence.retiring) {
    if (retiring.sealed == kNoBlock) {
      const auto sealed = pool_.allocate(Pool::kSealed, last_of(sequence.sealed_blocks));
      TQ_CHECK(sealed.has_value(), "sealed pool gave fewer blocks than it promised",
               raw(sequence.id));
      retiring.sealed = *sealed;
      retiring.coded = true;
    }
    sequence.sealed_blocks.push_back(retiring.sealed);
  }
  const auto begin = static_cast<ptrdiff_t>(slot);
  sequence.hot_blocks.erase(sequence.hot_blocks.begin() + begin,
                            sequence.hot_blocks.begin() + begin + n_blocks);
  sequence.hot_first.erase(sequence.hot_first.begin() + begin,
                           sequence.hot_first.begin() + begin + n_blocks);
}

void SequenceBlocks::take_prefix(Sequence& sequence) {
  TQ_CHECK(sequence.hot_blocks.empty() && sequence.n_computed == 0, "sequence holds blocks",
           raw(sequence.id));
  if (!kv_.prefix_cache) return;
  const int64_t block = kv_.block_tokens;
  const int64_t n_blocks_max = (sequence.n_known() - 1) / block;

  // The path through the index, cut where a block is there in neither form that its place allows.
  path_.clear();
  int64_t n_sealed_run = 0;  // leading non-sink blocks that have a sealed version
  for (int64_t i = 0; i < n_blocks_max; ++i) {
    const EntryIdx parent = path_.empty() ? kNoEntry : path_.back();
    const EntryIdx entry = pool_.find(parent, tokens_of(sequence, i));
    if (entry == kNoEntry) break;
    if (i < n_sinks() && pool_.version(Pool::kHot, entry) == kNoBlock) break;
    if (i >= n_sinks() && n_sealed_run == i - n_sinks() &&
        pool_.version(Pool::kSealed, entry) != kNoBlock) {
      ++n_sealed_run;
    }
    path_.push_back(entry);
  }

  const auto usable = [&](int64_t n_blocks) {
    const int64_t sealed_end_idx = sealed_until(kv_, n_blocks * block) / block;
    if (sealed_end_idx - n_sinks() > n_sealed_run) return false;
    for (int64_t i = sealed_end_idx; i < n_blocks; ++i) {
      if (pool_.version(Pool::kHot, path_[static_cast<size_t>(i)]) == kNoBlock) return false;
    }
    return true;
  };
  auto n_blocks = static_cast<int64_t>(path_.size());
  while (n_blocks > 0 && !usable(n_blocks)) --n_blocks;

  const int64_t sealed_end_idx = sealed_until(kv_, n_blocks * block) / block;
  for (int64_t i = 0; i < n_blocks; ++i) {
    const EntryIdx entry = path_[static_cast<size_t>(i)];
    sequence.entries.push_back(entry);
    if (i >= n_sinks() && i < sealed_end_idx) {
      sequence.sealed_blocks.push_back(pool_.version(Pool::kSealed, entry));
      pool_.ref(Pool::kSealed, sequence.sealed_blocks.back());
    } else {
      sequence.hot_blocks.push_back(pool_.version(Pool::kHot, entry));
      sequence.hot_first.push_back(static_cast<int32_t>(i * block));
      pool_.ref(Pool::kHot, sequence.hot_blocks.back());
    }
  }
  sequence.n_computed = n_blocks * block;
}

void SequenceBlocks::publish(Sequence& sequence) {
  const int64_t n_full = sequence.n_computed / kv_.block_tokens;
  const int64_t sealed_end_idx = sealed_end(sequence) / kv_.block_tokens;
  for (auto i = static_cast<int64_t>(sequence.entries.size()); i < n_full; ++i) {
    const EntryIdx parent = sequence.entries.empty() ? kNoEntry : sequence.entries.back();
    const bool is_sealed = i >= n_sinks() && i < sealed_end_idx;  // if it was parked
    BlockId& block = is_sealed ? sequence.sealed_blocks[static_cast<size_t>(i - n_sinks())]
                               : sequence.hot_blocks[hot_slot(sequence, i)];
    const auto published = pool_.publish(is_sealed ? Pool::kSealed : Pool::kHot, parent,
                                         tokens_of(sequence, i), block);
    block = published.block;
    sequence.entries.push_back(published.entry);
  }
}

void SequenceBlocks::commit(Sequence& sequence, bool content_is_good) {
  sequence.n_computed += sequence.n_planned;
  sequence.n_planned = 0;
  // Tail first, as in release().
  for (auto it = sequence.retiring.rbegin(); it != sequence.retiring.rend(); ++it) {
    const auto idx = static_cast<size_t>(it->block_idx);
    if (it->coded && content_is_good && idx < sequence.entries.size()) {
      sequence.sealed_blocks[idx - static_cast<size_t>(n_sinks())] =
          pool_.publish_sealed(sequence.entries[idx], it->sealed);
    }
    pool_.unref(Pool::kHot, it->hot);
  }
  sequence.retiring.clear();
  if (kv_.prefix_cache && content_is_good) publish(sequence);
}

void SequenceBlocks::release(Sequence& sequence) {
  for (auto it = sequence.retiring.rbegin(); it != sequence.retiring.rend(); ++it) {
    pool_.unref(Pool::kHot, it->hot);
  }
  for (auto it = sequence.hot_blocks.rbegin(); it != sequence.hot_blocks.rend(); ++it) {
    pool_.unref(Pool::kHot, *it);
  }
  for (auto it = sequence.sealed_blocks.rbegin(); it != sequence.sealed_blocks.rend(); ++it) {
    pool_.unref(Pool::kSealed, *it);
  }
  sequence.retiring.clear();
  sequence.hot_blocks.clear();
  sequence.hot_first.clear();
  sequence.sealed_blocks.clear();
  sequence.entries.clear();
  sequence.n_computed = 0;
  sequence.n_planned = 0;
}

void SequenceBlocks::release_and_forget(Sequence& sequence) {
  path_ = sequence.entries;
  release(sequence);
  while (!path_.empty() && pool_.forget(path_.back())) path_.pop_back();
}

// ---- Between the pools and the host.

// Undoes reserve().
void SequenceBlocks::cancel_reserved(Sequence& sequence) {
  const int64_t block = kv_.block_tokens;
  const int64_t covered = (sequence.n_computed + block - 1) / block * block;
  while (!sequence.hot_first.empty() && sequence.hot_first.back() >= covered) {
    pool_.unref(Pool::kHot, sequence.hot_blocks.back());
    sequence.hot_blocks.pop_back();
    sequence.hot_first.pop_back();
  }
  for (auto it = sequence.retiring.rbegin(); it != sequence.retiring.rend(); ++it) {
    pool_.unref(Pool::kSealed, it->sealed);
    sequence.sealed_blocks.pop_back();
    sequence.hot_blocks.insert(sequence.hot_blocks.begin() + n_sinks(), it->hot);
    sequence.hot_first.insert(sequence.hot_first.begin() + n_sinks(),
                              static_cast<int32_t>(it->block_idx * block));
  }
  sequence.retiring.clear();
  sequence.n_planned = 0;
}

bool SequenceBlocks::park(Sequence& sequence, SwapOps& swaps) {
  TQ_CHECK(sequence.parked.empty(), "parked sequence was not resumed", raw(sequence.id));
  cancel_reserved(sequence);
  if (sequence.n_computed == 0 || std::ssize(sequence.hot_blocks) > host_.available(Pool::kHot) ||
      std::ssize(sequence.sealed_blocks) > host_.available(Pool::kSealed)) {
    return false;
  }
  const auto copy = [&](Pool pool, const std::vector<BlockId>& blocks, std::vector<BlockId>& parked,
                        std::vector<kernels::BlockCopy>& copies) {
    for (const BlockId block : blocks) {
      parked.push_back(*host_.allocate(pool, last_of(parked)));
      copies.push_back({.from = block, .to = parked.back()});
    }
  };
  copy(Pool::kHot, sequence.hot_blocks, sequence.parked.hot, swaps.hot);
  copy(Pool::kSealed, sequence.sealed_blocks, sequence.parked.sealed, swaps.sealed);
  sequence.parked.n_tokens = sequence.n_computed;
  release(sequence);
  return true;
}

// As far as it has them in the form that they had.
void SequenceBlocks::take_parked_prefix(Sequence& sequence) {
  TQ_CHECK(sequence.hot_blocks.empty() && sequence.n_computed == 0, "sequence holds blocks",
           raw(sequence.id));
  const int64_t block = kv_.block_tokens;
  const int64_t sealed_end_idx = n_sinks() + std::ssize(sequence.parked.sealed);
  const int64_t n_full = kv_.prefix_cache ? sequence.parked.n_tokens / block : 0;
  for (int64_t i = 0; i < n_full; ++i) {
    const Pool pool = i >= n_sinks() && i < sealed_end_idx ? Pool::kSealed : Pool::kHot;
    const EntryIdx parent = sequence.entries.empty() ? kNoEntry : sequence.entries.back();
    const EntryIdx entry = pool_.find(parent, tokens_of(sequence, i));
    if (entry == kNoEntry || pool_.version(pool, entry) == kNoBlock) return;
    pool_.ref(pool, pool_.version(pool, entry));
    sequence.entries.push_back(entry);
    (pool == Pool::kHot ? sequence.hot_blocks : sequence.sealed_blocks)
        .push_back(pool_.version(pool, entry));
  }
}

void SequenceBlocks::unpark(Sequence& sequence) {
  const ParkedBlocks& parked = sequence.parked;
  const auto fill = [&](Pool pool, std::vector<BlockId>& blocks, size_t n) {
    while (blocks.size() < n) {
      const auto block = pool_.allocate(pool, last_of(blocks));
      TQ_CHECK(block.has_value(), "too few blocks for what is parked", raw(sequence.id));
      blocks.push_back(*block);
    }
  };
  fill(Pool::kHot, sequence.hot_blocks, parked.hot.size());
  fill(Pool::kSealed, sequence.sealed_blocks, parked.sealed.size());
  const auto n_sealed = static_cast<int64_t>(parked.sealed.size());
  for (int64_t i = 0; i < std::ssize(parked.hot); ++i) {
    const int64_t block_idx = i < n_sinks() ? i : i + n_sealed;
    sequence.hot_first.push_back(static_cast<int32_t>(block_idx * kv_.block_tokens));
  }
  sequence.n_computed = parked.n_tokens;
}

void SequenceBlocks::swap_in(const Sequence& sequence, SwapOps& swaps) const {
  const ParkedBlocks& parked = sequence.parked;
  const auto n_indexed = static_cast<int64_t>(sequence.entries.size());
  const int64_t n_sealed_indexed =
      std::clamp<int64_t>(n_indexed - n_sinks(), 0, std::ssize(parked.sealed));
  const auto copy = [](const std::vector<BlockId>& from, const std::vector<BlockId>& to,
                       int64_t first, std::vector<kernels::BlockCopy>& copies) {
    for (auto i = static_cast<size_t>(first); i < from.size(); ++i) {
      copies.push_back({.from = from[i], .to = to[i]});
    }
  };
  copy(parked.hot, sequence.hot_blocks, n_indexed - n_sealed_indexed, swaps.hot);
  copy(parked.sealed, sequence.sealed_blocks, n_sealed_indexed, swaps.sealed);
}

void SequenceBlocks::drop_parked(Sequence& sequence) {
  for (const BlockId block : sequence.parked.hot) host_.unref(Pool::kHot, block);
  for (const BlockId block : sequence.parked.sealed) host_.unref(Pool::kSealed, block);
  sequence.parked = ParkedBlocks{};
}

}  // namespace tq::engine
