#include "kernels/cuda/attend_rows.cuh"

#include "kernels/cuda/dispatch.cuh"

namespace tq::kernels::cuda {

Result<void> launch_attend_rows(const AttendParams& params, Stream stream) {
  if (params.n_row_items == 0) return {};
  return for_head_dim(params.store.head_dim, [&]<int kDim>() {
    const Grid grid{.blocks = static_cast<unsigned>(params.n_row_items),
                    .threads = kRowThreads,
                    .shared_bytes = sizeof(DecodedTile<kDim>)};
    return run_kernel(attend_rows<kDim>, grid, stream, params);
  });
}

}  // namespace tq::kernels::cuda
