#pragma once
// launch_attend() for one format of keys; attend_k*.cu instantiate it, so that they compile side by
// side.

#include "kernels/cuda/attend.cuh"
#include "kernels/cuda/dispatch.cuh"

namespace tq::kernels::cuda {

template <int kKBits>
Result<void> launch_attend_keys(const AttendParams& params, Stream stream) {
  return for_head_dim(params.store.head_dim, [&]<int kDim>() {
    const Grid grid{.blocks = static_cast<unsigned>(params.n_items),
                    .threads = kAttendThreads,
                    .shared_bytes = kAttendSharedBytes<kDim>};
    switch (params.store.sealed_v.bits) {
      case 16: return run_kernel(attend<kKBits, 16, kDim>, grid, stream, params);
      case 8: return run_kernel(attend<kKBits, 8, kDim>, grid, stream, params);
      case 4: return run_kernel(attend<kKBits, 4, kDim>, grid, stream, params);
      case 3: return run_kernel(attend<kKBits, 3, kDim>, grid, stream, params);
      default: return run_kernel(attend<kKBits, 2, kDim>, grid, stream, params);
    }
  });
}

}  // namespace tq::kernels::cuda
