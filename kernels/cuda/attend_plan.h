#pragma once
// AttendPlan: how one step's attention is cut into the items of cuda/attend.cuh and
// attend_rows.cuh, made once per step and used by every layer. Plain value of the engine's thread;
// knows nothing of a device.
//
// Keys are cut into parts, so that one long sequence fills a device; the more rows it has, the
// fewer parts. The cut depends on the sequence alone, so that a row's output does not depend on
// what else is in the batch.

#include <cstdint>
#include <vector>

#include "kernels/cuda/launch.h"
#include "kernels/paged_batch.h"

namespace tq::kernels::cuda {

struct AttendGeometry {
  int block_tokens = 0;
  int n_kv_heads = 0;
  int group = 0;         // query heads per KV head
  bool has_rows = true;  // row_items may be used
};

struct AttendPlan {
  std::vector<AttendItem> items;  // as AttendParams wants them
  int32_t n_small_items = 0;
  std::vector<AttendItem> row_items;  // of sequences with more than kFewQueries
  std::vector<QueryBlock> blocks;
  int32_t n_states = 0;

  static constexpr int32_t kFewQueries = 32;  // of a KV head

  // Vectors keep their memory. `batch` has passed check_batch().
  void build(const PagedBatch& batch, const AttendGeometry& geometry);

 private:
  void add_items(const PagedBatch& batch, size_t seq, const AttendGeometry& geometry);
  void add_row_items(const PagedBatch& batch, size_t seq, const AttendGeometry& geometry);
};

}  // namespace tq::kernels::cuda
