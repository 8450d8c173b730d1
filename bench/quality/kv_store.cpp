#include "bench/quality/kv_store.h"

#include <algorithm>
#include <utility>

#include "config/check.h"
#include "engine/kv_needs.h"

namespace tq::bench {

Result<void> KvStore::allocate(KvFormats formats) {
  const models::ModelSpec& spec = *options_.spec;
  KvConfig store = kv_;
  store.formats = formats;
  TQ_ASSIGN(attention_,
            kernels::make_backend(options_.backend, {.shape = {.n_layers = spec.n_layers,
                                                               .n_kv_heads = spec.n_kv_heads,
                                                               .head_dim = spec.head_dim},
                                                     .kv = store,
                                                     .n_heads = spec.n_heads,
                                                     .pool = options_.pool}));
  const engine::KvNeeds needs(store);
  TQ_ASSIGN(auto arena,
            attention_->allocate({.hot_blocks = needs.hot_peak(options_.context_max),
                                  .sealed_blocks = needs.sealed(options_.context_max)}));
  arena_ = std::make_unique<kernels::KvArena>(std::move(arena));
  for (int32_t i = arena_->sizes().hot_blocks; i-- > 0;) free_hot_.push_back(BlockId{i});
  sealed_end_ = kv_.sink_tokens;
  return {};
}

uint64_t KvStore::arena_bytes() const noexcept {
  return kernels::arena_bytes(arena_->layout(), arena_->sizes());
}

Result<void> KvStore::seal_next() {
  const int64_t block_idx = sealed_end_ / kv_.block_tokens;
  const BlockId hot = hot_[static_cast<size_t>(block_idx)];
  TQ_TRY(seal(block_idx, hot));
  if (moves_blocks()) free_hot_.push_back(hot);
  sealed_end_ += kv_.block_tokens;
  return {};
}

Result<const kernels::AttnPlan*> KvStore::advance(int64_t first, int64_t n) {
  TQ_CHECK(n > 0 && first + n <= options_.context_max, "step past the context", first, n);
  const int64_t sealed_end = sealed_until(kv_, first);
  TQ_CHECK(sealed_end == sealed_until(kv_, first + n - 1), "a step crosses a seal point", first, n);
  while (sealed_end_ < sealed_end) TQ_TRY(seal_next());
  while (static_cast<int64_t>(hot_.size()) * kv_.block_tokens < first + n) {
    TQ_CHECK(!free_hot_.empty(), "more hot blocks than a sequence needs", first, n);
    hot_.push_back(free_hot_.back());
    free_hot_.pop_back();
  }
  batch_ = {};
  batch_.n_tokens = static_cast<int32_t>(n);
  batch_.n_seqs = 1;
  batch_.token_indptr = {0, batch_.n_tokens};
  batch_.first_position = {static_cast<int32_t>(first)};
  for (int64_t start = 0; start < first + n; start += kv_.block_tokens) {
    const int64_t block_idx = start / kv_.block_tokens;
    if (moves_blocks() && start >= kv_.sink_tokens && start < sealed_end_) {
      batch_.sealed_blocks.push_back(sealed_block(block_idx));
    } else {
      batch_.hot_blocks.push_back(hot_[static_cast<size_t>(block_idx)]);
      batch_.hot_first.push_back(static_cast<int32_t>(start));
    }
  }
  batch_.hot_indptr = {0, static_cast<int32_t>(batch_.hot_blocks.size())};
  batch_.sealed_indptr = {0, static_cast<int32_t>(batch_.sealed_blocks.size())};
  return attention_->plan(batch_, *arena_);
}

}  // namespace tq::bench
