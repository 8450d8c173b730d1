// launch_attend(): the parts of all items, then their fold.
#include "kernels/cuda/combine.cuh"
#include "kernels/cuda/dispatch.cuh"

namespace tq::kernels::cuda {

// One translation unit each: attend_k*.cu.
template <int kKBits>
Result<void> launch_attend_keys(const AttendParams& params, Stream stream);
Result<void> launch_attend_rows(const AttendParams& params, Stream stream);  // attend_rows.cu

namespace {

Result<void> launch_parts(const AttendParams& params, Stream stream) {
  switch (params.store.sealed_k.bits) {
    case 16: return launch_attend_keys<16>(params, stream);
    case 8: return launch_attend_keys<8>(params, stream);
    case 4: return launch_attend_keys<4>(params, stream);
    case 3: return launch_attend_keys<3>(params, stream);
    default: return launch_attend_keys<2>(params, stream);
  }
}

}  // namespace

Result<void> launch_attend(const AttendParams& params, Stream stream) {
  if (params.n_blocks == 0) return {};
  TQ_TRY(launch_parts(params, stream));
  TQ_TRY(launch_attend_rows(params, stream));
  return for_head_dim(params.store.head_dim, [&]<int kDim>() {
    const Grid grid{.blocks = static_cast<unsigned>(params.n_blocks), .threads = kCombineThreads};
    return run_kernel(combine<kDim>, grid, stream, params);
  });
}

}  // namespace tq::kernels::cuda
