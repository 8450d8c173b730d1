// Rows into the store, and rotations alone. One warp per row. Compiled without contraction: the
// store's bytes are those of "scalar".
#include "kernels/cuda/dispatch.cuh"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/rotation.cuh"
#include "quant/float16.h"

namespace tq::kernels::cuda {
namespace {

constexpr int kWarps = 4;

template <int kDim>
__device__ WarpRow<kDim> load_row(const float* row, int lane) {
  WarpRow<kDim> loaded;
#pragma unroll
  for (int i = 0; i < loaded.kPerLane; ++i) {
    loaded.x[i] = loaded.has(i, lane) ? row[32 * i + lane] : 0.0f;
  }
  return loaded;
}

template <int kDim>
__global__ void __launch_bounds__(32 * kWarps) rotate_kernel(RotateParams params) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int row = static_cast<int>(blockIdx.x) * kWarps + static_cast<int>(threadIdx.x) / 32;
  if (row >= params.n_rows) return;
  const size_t start = static_cast<size_t>(row) * kDim;
  WarpRow<kDim> values = load_row<kDim>(params.rows + start, lane);
  rotate(values, params.rotation, params.inverse, lane);
#pragma unroll
  for (int i = 0; i < values.kPerLane; ++i) {
    if (values.has(i, lane)) params.out[start + 32 * i + lane] = values.x[i];
  }
}

// A row is written as 16-bit halves of the tile's words: a key's coordinates lie in pairs, a
// value's tokens do.
template <int kDim>
__global__ void __launch_bounds__(32 * kWarps) append_kernel(AppendParams params) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int warp = static_cast<int>(blockIdx.x) * kWarps + static_cast<int>(threadIdx.x) / 32;
  const StoreView& store = params.store;
  const int row = warp / 2;  // of k and v
  const bool is_key = warp % 2 == 0;
  if (row >= params.step.n_tokens * store.n_kv_heads) return;
  const int head = row % store.n_kv_heads;
  const TokenSlot at = params.step.slots[row / store.n_kv_heads];
  const float* const from = (is_key ? params.k : params.v) + static_cast<size_t>(row) * kDim;
  WarpRow<kDim> values = load_row<kDim>(from, lane);
  rotate(values, params.rotation, false, lane);

  const HalfView& half = is_key ? store.hot_k : store.hot_v;
  const auto part = static_cast<size_t>(at.part + head * kHeadParts);
  auto* const tile = reinterpret_cast<uint16_t*>(store.hot + part * store.hot_stride + half.offset);
  const int token = at.slot;
#pragma unroll
  for (int i = 0; i < values.kPerLane; ++i) {
    if (!values.has(i, lane)) continue;
    const int j = 32 * i + lane;
    const uint16_t bits = quant::float_to_bf16(values.x[i]);
    if (is_key) {
      tile[(j / 2 * kTile + token) * 2 + j % 2] = bits;
    } else {
      uint16_t* const pair = tile + (token / 2 * kDim + j) * 2;
      pair[token % 2] = bits;
      if (at.clears_next != 0) pair[1] = 0;
    }
  }
}

unsigned blocks_for(int n_warps) { return static_cast<unsigned>((n_warps + kWarps - 1) / kWarps); }

}  // namespace

Result<void> launch_rotate(const RotateParams& params, Stream stream) {
  if (params.n_rows == 0) return {};
  return for_head_dim(params.head_dim, [&]<int kDim>() {
    const Grid grid{.blocks = blocks_for(params.n_rows), .threads = 32 * kWarps};
    return run_kernel(rotate_kernel<kDim>, grid, stream, params);
  });
}

Result<void> launch_append(const AppendParams& params, Stream stream) {
  const int n_rows = params.step.n_tokens * params.store.n_kv_heads;
  if (n_rows == 0) return {};
  return for_head_dim(params.store.head_dim, [&]<int kDim>() {
    const Grid grid{.blocks = blocks_for(2 * n_rows), .threads = 32 * kWarps};
    return run_kernel(append_kernel<kDim>, grid, stream, params);
  });
}

}  // namespace tq::kernels::cuda
