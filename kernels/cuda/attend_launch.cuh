#pragma once
// launch_attend() for one format of keys; attend_k*.cu instantiate it, so that they compile side by
// side.

#include "kernels/cuda/attend.cuh"
#include "kernels/cuda/dispatch.cuh"

namespace tq::kernels::cuda {

template <int kKBits, int kQueries, bool kBiased>
Result<void> launch_items(const AttendParams& params, Stream stream) {
  if (params.n_items == 0) return {};
  return for_head_dim(params.store.head_dim, [&]<int kDim>() {
    const Grid grid{.blocks = static_cast<unsigned>(params.n_items),
                    .threads = kAttendThreads,
                    .shared_bytes = kBiased ? kBiasSharedBytes<kDim> : kAttendSharedBytes<kDim>};
    const auto run = [&]<int kVBits>() {
      if constexpr (kBiased) {
        return run_kernel(attend_biased<kKBits, kVBits, kDim>, grid, stream, params);
      } else {
        return run_kernel(attend<kKBits, kVBits, kDim, kQueries>, grid, stream, params);
      }
    };
    switch (params.store.sealed_v.bits) {
      case 16: return run.template operator()<16>();
      case 8: return run.template operator()<8>();
      case 4: return run.template operator()<4>();
      case 3: return run.template operator()<3>();
      default: return run.template operator()<2>();
    }
  });
}

template <int kKBits>
Result<void> launch_attend_keys(const AttendParams& params, Stream stream) {
  if (params.bias.tiles != nullptr) {
    return launch_items<kKBits, kAttendQueries, true>(params, stream);
  }
  AttendParams part = params;
  part.n_items = params.n_small_items;
  TQ_TRY((launch_items<kKBits, kAttendQueries / 2, false>(part, stream)));
  part.items += params.n_small_items;
  part.n_items = params.n_items - params.n_small_items;
  return launch_items<kKBits, kAttendQueries, false>(part, stream);
}

}  // namespace tq::kernels::cuda
