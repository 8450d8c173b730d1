#pragma once
// PagedAttention: the seam between the decoder and a compute backend ("scalar", "avx2", "avx512",
// "neon", "cuda"). Engine thread only; a backend may use a pool of threads of its own inside a
// call. Every span lies in the backend's memory (for the CPU backends: ordinary memory).
//
// The store holds everything in the rotated domain: append() applies Rotation to each k and v row
// and writes bf16 rows; seal() codes a full hot block; attend() rotates q once, scores and sums V
// in the rotated domain over hot and sealed blocks with one online softmax, and un-rotates the
// output once. A store whose formats are both bf16 is not rotated at all.

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "config/kv_config.h"
#include "config/result.h"
#include "kernels/key_bias.h"
#include "kernels/kv_arena.h"
#include "kernels/paged_batch.h"
#include "quant/block_layout.h"

namespace tq::kernels {

namespace cpu {
class ThreadPool;
}

struct AttentionOptions {
  quant::KvShape shape;
  KvConfig kv;
  int n_heads = 0;    // query heads: a multiple of shape.n_kv_heads, at most 16 per KV head
  int n_threads = 1;  // of the backend's own pool; CPU only
  cpu::ThreadPool* pool = nullptr;  // shared instead of an own one, whose n_threads then counts
};

// Work division of one step, made once by plan() and used by every layer. Opaque to callers.
class AttnPlan {
 public:
  virtual ~AttnPlan() = default;
  virtual const PagedBatch& batch() const noexcept = 0;
};

// Rows are [n_tokens, n_kv_heads, head_dim], contiguous, after RoPE.
struct AppendCall {
  const AttnPlan* plan = nullptr;
  KvArena* arena = nullptr;
  LayerIdx layer = 0;
  std::span<const float> k;
  std::span<const float> v;
};

// Codes the full hot block into the sealed one, in all layers. The hot block is left as it is.
struct SealCall {
  KvArena* arena = nullptr;
  BlockId hot = kNoBlock;
  BlockId sealed = kNoBlock;
};

// q, out [n_tokens, n_heads, head_dim], contiguous. out = softmax(scale * q k^T) v over what the
// plan's batch makes visible, the step's own rows (already appended) included; to a key at position
// p belongs R_p b of the key bias. A row that sees no key is all zeros.
struct AttendCall {
  const AttnPlan* plan = nullptr;
  const KvArena* arena = nullptr;
  LayerIdx layer = 0;
  float scale = 0.0f;                 // usually 1/sqrt(head_dim)
  const KeyBias* key_bias = nullptr;  // of this layer, where appended keys come without it
  std::span<const float> q;
  std::span<float> out;
};

class PagedAttention {
 public:
  virtual ~PagedAttention() = default;

  virtual std::string_view name() const noexcept = 0;
  virtual const quant::BlockLayout& layout() const noexcept = 0;
  virtual Result<KvArena> allocate(PoolSizes sizes) = 0;
  // Checks the batch against the layout (indptr monotone, ids in range, blocks cover the
  // positions). The plan owns a copy of what it needs and is valid until the next plan().
  virtual Result<const AttnPlan*> plan(const PagedBatch& batch, const KvArena& arena) = 0;
  virtual Result<void> append(const AppendCall& call) = 0;
  virtual Result<void> seal(
      const SealCall& call) = 0;  // kInternal where a row holds NaN or infinity
  virtual Result<void> attend(const AttendCall& call) = 0;
};

// Names that this build and machine can run, best first; "auto" means the first.
std::vector<std::string_view> available_backends();

// Unknown or unsupported name: an error that lists available_backends() and says why the asked one
// cannot run.
Result<std::unique_ptr<PagedAttention>> make_backend(std::string_view name,
                                                     const AttentionOptions& options);

}  // namespace tq::kernels
