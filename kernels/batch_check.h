#pragma once
// Checks of what callers hand to the seam, shared by every backend: an error names the field and
// the limit, so a malformed batch never reaches a kernel. Engine thread only.

#include <cstdint>
#include <vector>

#include "config/result.h"
#include "kernels/kv_arena.h"
#include "kernels/paged_attention.h"
#include "kernels/paged_batch.h"

namespace tq::kernels {

// Sizes of the CSR arrays, monotone indptr, ids in range, hot_first ascending multiples of
// block_tokens, each position up to the sequence's last covered once (sealed blocks wholly before
// the step's rows), and no block written by two sequences. `written` is scratch that the caller
// keeps between steps.
Result<void> check_batch(const PagedBatch& batch,
                         const KvArena& arena,
                         std::vector<uint8_t>& written);

// head_dim and formats are the layout's business; this checks heads and threads.
Result<void> check_options(const AttentionOptions& options);

// The arena was made for this layout, the layer exists, the spans have the sizes that the batch
// asks for.
Result<void> check_arena(const quant::BlockLayout& layout, const KvArena* arena);
Result<void> check_append(const AppendCall& call, const PagedBatch& batch);
Result<void> check_attend(const AttendCall& call, const PagedBatch& batch, int n_heads);
// All of it but `out`.
Result<void> check_attend_inputs(const AttendCall& call, const PagedBatch& batch, int n_heads);
Result<void> check_seal(const SealCall& call);

inline constexpr int kGroupMax = 16;     // query heads per KV head
inline constexpr int kThreadsMax = 256;  // of a backend's own pool

}  // namespace tq::kernels
