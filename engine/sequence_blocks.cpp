#include "engine/sequence_blocks.h"

#include <algorithm>

#include "config/check.h"

namespace tq::engine {

int64_t SequenceBlocks::sealed_end(const Sequence& sequence) const noexcept {
  return kv_.sink_tokens + static_cast<int64_t>(sequence.sealed_blocks.size()) * kv_.block_tokens;
}

// Where block `block_idx` lies in hot_blocks: sinks first, then what follows the sealed part.
size_t SequenceBlocks::hot_slot(const Sequence& sequence, int64_t block_idx) const {
  const int64_t n_sinks = kv_.sink_tokens / kv_.block_tokens;
  const auto n_sealed = static_cast<int64_t>(sequence.sealed_blocks.size());
  return static_cast<size_t>(block_idx < n_sinks ? block_idx : block_idx - n_sealed);
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
    const auto hot = pool_.allocate(Pool::kHot);
    TQ_CHECK(hot.has_value(), "hot pool gave fewer blocks than it promised", raw(sequence.id));
    sequence.hot_blocks.push_back(*hot);
    sequence.hot_first.push_back(static_cast<int32_t>(start));
  }
  sequence.n_planned = static_cast<int32_t>(n);
  return sequence.n_planned;
}

void SequenceBlocks::reserve_seals(Sequence& sequence, int32_t n_blocks) {
  if (n_blocks == 0) return;
  const size_t slot = static_cast<size_t>(kv_.sink_tokens / kv_.block_tokens);
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
      const auto sealed = pool_.allocate(Pool::kSealed);
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
  const int64_t n_sinks = kv_.sink_tokens / block;
  const int64_t n_blocks_max = (sequence.n_known() - 1) / block;

  // The path through the index, cut where a block is there in neither form that its place allows.
  path_.clear();
  int64_t n_sealed_run = 0;  // leading non-sink blocks that have a sealed version
  for (int64_t i = 0; i < n_blocks_max; ++i) {
    const EntryIdx parent = path_.empty() ? kNoEntry : path_.back();
    const EntryIdx entry = pool_.find(
        parent, std::span(sequence.tokens)
                    .subspan(static_cast<size_t>(i * block), static_cast<size_t>(block)));
    if (entry == kNoEntry) break;
    if (i < n_sinks && pool_.version(Pool::kHot, entry) == kNoBlock) break;
    if (i >= n_sinks && n_sealed_run == i - n_sinks &&
        pool_.version(Pool::kSealed, entry) != kNoBlock) {
      ++n_sealed_run;
    }
    path_.push_back(entry);
  }

  const auto usable = [&](int64_t n_blocks) {
    const int64_t sealed_end_idx = sealed_until(kv_, n_blocks * block) / block;
    if (sealed_end_idx - n_sinks > n_sealed_run) return false;
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
    if (i >= n_sinks && i < sealed_end_idx) {
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
  const int64_t block = kv_.block_tokens;
  const int64_t n_full = sequence.n_computed / block;
  for (auto i = static_cast<int64_t>(sequence.entries.size()); i < n_full; ++i) {
    const EntryIdx parent = sequence.entries.empty() ? kNoEntry : sequence.entries.back();
    BlockId& hot = sequence.hot_blocks[hot_slot(sequence, i)];
    const auto published =
        pool_.publish(parent,
                      std::span<const TokenId>(sequence.tokens)
                          .subspan(static_cast<size_t>(i * block), static_cast<size_t>(block)),
                      hot);
    hot = published.block;
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
      const auto n_sinks = static_cast<size_t>(kv_.sink_tokens / kv_.block_tokens);
      sequence.sealed_blocks[idx - n_sinks] =
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

}  // namespace tq::engine
