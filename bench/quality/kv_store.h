#pragma once
// KvStore: the KV cache of one sequence whose quality is measured. Two kinds stand in one table:
//   packed  the store that serves: sealed blocks of codes, attended to by the backend's kernels
//   coded   16-bit rows; a block is put through a KvCodec (bench/formats) when it would be sealed
// Both obey sealed_until() (config/kv_config.h), so sinks, window and seal stride mean in both what
// they mean in the engine. One thread.

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "config/kv_config.h"
#include "config/result.h"
#include "kernels/cpu/thread_pool.h"
#include "kernels/kv_arena.h"
#include "kernels/paged_attention.h"
#include "kernels/paged_batch.h"
#include "models/model_spec.h"

namespace tq::bench {

struct StoreOptions {
  const models::ModelSpec* spec = nullptr;
  KvConfig kv;              // formats are ignored: the store's name says them
  int edge_layers_16 = 0;   // first and last layers, so many each, that are never coded
  int64_t context_max = 0;  // tokens of the sequence
  std::string backend = "auto";
  kernels::cpu::ThreadPool* pool = nullptr;  // outlives the store
};

class KvStore {
 public:
  virtual ~KvStore() = default;

  virtual double bits_per_value() const noexcept = 0;  // of a coded row, scales included
  uint64_t arena_bytes() const noexcept;  // of both pools: what a sequence of context_max needs

  int64_t seal_stride() const noexcept { return kv_.seal_stride_tokens; }
  kernels::PagedAttention& attention() noexcept { return *attention_; }
  kernels::KvArena& arena() noexcept { return *arena_; }

  // The plan of a step that computes positions [first, first + n): n > 0, no seal point inside.
  // What the first position sees as sealed is sealed before.
  Result<const kernels::AttnPlan*> advance(int64_t first, int64_t n);

 protected:
  KvStore(const StoreOptions& options, KvConfig kv) : options_(options), kv_(kv) {}
  Result<void> allocate(KvFormats formats);  // pools as large as the engine's for one sequence

  // Codes block `block_idx` of the sequence, which lies in `hot`, in all layers.
  virtual Result<void> seal(int64_t block_idx, BlockId hot) = 0;
  // A sealed block leaves the hot list, and its hot block is used again.
  virtual bool moves_blocks() const noexcept = 0;
  BlockId sealed_block(int64_t block_idx) const noexcept {  // where it then lies
    return BlockId{static_cast<int32_t>(block_idx - kv_.sink_tokens / kv_.block_tokens)};
  }

  StoreOptions options_;
  KvConfig kv_;
  std::unique_ptr<kernels::PagedAttention> attention_;
  std::unique_ptr<kernels::KvArena> arena_;

 private:
  Result<void> seal_next();

  kernels::PagedBatch batch_;
  std::vector<BlockId> hot_;       // of each block of the sequence; stale where it has moved
  std::vector<BlockId> free_hot_;  // the next one last
  int64_t sealed_end_ = 0;         // tokens; [sink, sealed_end_) are sealed
};

// "tq4", "tq4/tq2", "bf16": a format of the server, packed. Any name of bench/formats, or two of
// them as "K/V": coded. "coded:tq4" is the server's format by way of the codec, to compare the two.
Result<std::unique_ptr<KvStore>> make_kv_store(std::string_view name, const StoreOptions& options);

}  // namespace tq::bench
