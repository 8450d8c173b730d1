#include "bench/quality/kv_store.h"

#include <algorithm>
#include <utility>

#include "config/check.h"

namespace tq::bench {

Result<void> KvStore::allocate(KvFormats formats, bool with_sealed) {
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
  const auto n_blocks =
      static_cast<int32_t>((options_.context_max + kv_.block_tokens - 1) / kv_.block_tokens);
  TQ_ASSIGN(auto arena, attention_->allocate(
                            {.hot_blocks = n_blocks, .sealed_blocks = with_sealed ? n_blocks : 1}));
  arena_ = std::make_unique<kernels::KvArena>(std::move(arena));
  sealed_end_ = kv_.sink_tokens;
  return {};
}

Result<const kernels::AttnPlan*> KvStore::advance(int64_t first, int64_t n) {
  TQ_CHECK(n > 0 && first + n <= options_.context_max, "step past the context", first, n);
  const int64_t sealed_end = sealed_until(kv_, first);
  TQ_CHECK(sealed_end == sealed_until(kv_, first + n - 1), "a step crosses a seal point", first, n);
  for (; sealed_end_ < sealed_end; sealed_end_ += kv_.block_tokens) {
    TQ_TRY(seal(sealed_end_ / kv_.block_tokens));
  }
  batch_ = {};
  batch_.n_tokens = static_cast<int32_t>(n);
  batch_.n_seqs = 1;
  batch_.token_indptr = {0, batch_.n_tokens};
  batch_.first_position = {static_cast<int32_t>(first)};
  for (int64_t start = 0; start < first + n; start += kv_.block_tokens) {
    const BlockId block{static_cast<int32_t>(start / kv_.block_tokens)};
    if (moves_blocks() && start >= kv_.sink_tokens && start < sealed_end_) {
      batch_.sealed_blocks.push_back(block);
    } else {
      batch_.hot_blocks.push_back(block);
      batch_.hot_first.push_back(static_cast<int32_t>(start));
    }
  }
  batch_.hot_indptr = {0, static_cast<int32_t>(batch_.hot_blocks.size())};
  batch_.sealed_indptr = {0, static_cast<int32_t>(batch_.sealed_blocks.size())};
  return attention_->plan(batch_, *arena_);
}

}  // namespace tq::bench
