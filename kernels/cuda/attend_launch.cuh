#pragma once
// launch_attend() for one format of keys; attend_k*.cu instantiate it, so that they compile side by
// side.

#include "kernels/cuda/attend.cuh"
#include "kernels/cuda/dispatch.cuh"

namespace tq::kernels::cuda {

template <int kKBits, int kQueries>
Result<void> launch_items(const AttendParams& params, Stream stream) {
  if (params.n_items == 0) return {};
  return for_head_dim(params.store.head_dim, [&]<int kDim>() {
    const Grid grid{.blocks = static_cast<unsigned>(params.n_items),
                    .threads = kAttendThreads,
                    .shared_bytes = kAttendSharedBytes<kDim>};
    switch (params.store.sealed_v.bits) {
      case 16: return run_kernel(attend<kKBits, 16, kDim, kQueries>, grid, stream, params);
      case 8: return run_kernel(attend<kKBits, 8, kDim, kQueries>, grid, stream, params);
      case 4: return run_kernel(attend<kKBits, 4, kDim, kQueries>, grid, stream, params);
      case 3: return run_kernel(attend<kKBits, 3, kDim, kQueries>, grid, stream, params);
      default: return run_kernel(attend<kKBits, 2, kDim, kQueries>, grid, stream, params);
    }
  });
}

template <int kKBits>
Result<void> launch_attend_keys(const AttendParams& params, Stream stream) {
  AttendParams part = params;
  part.n_items = params.n_small_items;
  TQ_TRY((launch_items<kKBits, kAttendQueries / 2>(part, stream)));
  part.items += params.n_small_items;
  part.n_items = params.n_items - params.n_small_items;
  return launch_items<kKBits, kAttendQueries>(part, stream);
}

}  // namespace tq::kernels::cuda
