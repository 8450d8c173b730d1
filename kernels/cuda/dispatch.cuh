#pragma once
// From sizes known at run time to template arguments, and from a kernel to the stream. Host side.

#include "config/result.h"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/ptx.cuh"
#if defined(__CUDACC__)
#include "kernels/cuda/cu_try.cuh"
#endif

namespace tq::kernels::cuda {

struct Grid {
  dim3 blocks;
  dim3 threads;
  size_t shared_bytes = 0;
};

template <class Params>
Result<void> run_kernel(void (*kernel)(Params),
                        const Grid& grid,
                        [[maybe_unused]] Stream stream,
                        Params params) {
#if defined(__CUDACC__)
  void* arguments[] = {&params};
  return cu_try(cudaLaunchKernel(reinterpret_cast<const void*>(kernel), grid.blocks, grid.threads,
                                 arguments, grid.shared_bytes, stream),
                "launch");
#else
  simt::launch({.grid = grid.blocks,
                .block = grid.threads,
                .shared_bytes = grid.shared_bytes,
                .seed = simt::next_seed()},
               kernel, params);
  return {};
#endif
}

// launch.operator()<head_dim>(). Backends refuse other dimensions when they are made.
template <class Launch>
Result<void> for_head_dim(int head_dim, Launch launch) {
  switch (head_dim) {
    case 64: return launch.template operator()<64>();
    case 80: return launch.template operator()<80>();
    case 96: return launch.template operator()<96>();
    case 128: return launch.template operator()<128>();
    case 256: return launch.template operator()<256>();
    default: TQ_CHECK(false, "no kernel for this head_dim", head_dim);
  }
  return {};
}

}  // namespace tq::kernels::cuda
