#pragma once
// AttendPlan: how one step's attention is cut into the items of cuda/attend.cuh, made once per step
// and used by every layer. Plain value of the engine's thread; knows nothing of a device.
//
// Keys of a sequence with few rows (a decode) are cut into parts, so that one long sequence fills a
// device; a prefill's rows are items enough. The cut depends on the sequence alone, so that a row's
// output does not depend on what else is in the batch.

#include <cstdint>
#include <vector>

#include "kernels/cuda/launch.h"
#include "kernels/paged_batch.h"

namespace tq::kernels::cuda {

struct AttendGeometry {
  int block_tokens = 0;
  int n_kv_heads = 0;
  int group = 0;  // query heads per KV head
};

struct AttendPlan {
  std::vector<AttendItem> items;  // as AttendParams wants them
  int32_t n_small_items = 0;
  std::vector<QueryBlock> blocks;
  int32_t n_states = 0;

  // Vectors keep their memory. `batch` has passed check_batch().
  void build(const PagedBatch& batch, const AttendGeometry& geometry);
};

}  // namespace tq::kernels::cuda
