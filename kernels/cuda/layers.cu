// What a decoder layer computes on rows besides attention and matrix products. All of it is bound
// by memory where rows are many and by latency where they are few, so a thread asks for all that it
// needs at once. Bytes per element, in 16 bits: embed 6, norm 12 (4 of them read again from a
// cache: the weights), swiglu 6, heads 6.
//
// How a row is divided among threads depends on its size alone, and so do its bits.
#include "kernels/cuda/dispatch.cuh"
#include "kernels/cuda/elements.cuh"
#include "kernels/cuda/layer_launch.h"

namespace tq::kernels::cuda {
namespace {

constexpr ElementType kF32 = ElementType::kF32;
constexpr int kWarp = 32;
constexpr int kRowThreadsMax = 256;  // embed and swiglu
constexpr int kEmbedPack = 4;
constexpr int kHeadWarps = 8;
constexpr int kPairsMax = kHeadDimMax / 2;
static_assert(kPairsMax <= kWarp * kHeadWarps);

template <ElementType kType>
constexpr int kSwigluPack = kVectorBytes / element_bytes(kType);

// The same bits in all lanes.
__device__ __forceinline__ float warp_sum(float value) {
#pragma unroll
  for (int distance = 1; distance < kWarp; distance *= 2) {
    value += __shfl_xor_sync(0xffffffffu, value, distance);
  }
  return value;
}

// The same bits in all threads. Once per launch.
__device__ __forceinline__ float block_sum(float value) {
  __shared__ float sums[kNormThreadsMax / kWarp];
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  const float sum = warp_sum(value);
  if (lane == 0) sums[warp] = sum;
  __syncthreads();
  return warp_sum(lane < static_cast<int>(blockDim.x) / kWarp ? sums[lane] : 0.0f);
}

template <ElementType kType>
__global__ void __launch_bounds__(kRowThreadsMax) embed_kernel(EmbedCall call) {
  const int at = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x) * kEmbedPack;
  const int row = static_cast<int>(blockIdx.y);
  if (at >= call.size) return;
  const void* const from = row_of<kType>(call.table, call.tokens[row], call.size);
  store<kF32>(row_of<kF32>(call.y, row, call.size), at, load<kType, kEmbedPack>(from, at));
}

// A block has one row; thread t of n has packs t, t + n, ...
template <ElementType kType, int kPacks>
__global__ void __launch_bounds__(kNormThreadsMax) norm_kernel(DeviceNormCall call) {
  const int out_row = static_cast<int>(blockIdx.y);
  const int row = call.rows == nullptr ? out_row : call.rows[out_row];
  void* const x = row_of<kF32>(call.x, row, call.size);
  void* const y = row_of<kType>(call.y, out_row, call.size);
  const int first = static_cast<int>(threadIdx.x) * kNormPack;
  const int step = static_cast<int>(blockDim.x) * kNormPack;

  Floats<kNormPack> values[kPacks] = {};
  Floats<kNormPack> weights[kPacks] = {};
#pragma unroll
  for (int pack = 0; pack < kPacks; ++pack) {
    const int at = first + pack * step;
    if (at >= call.size) continue;
    values[pack] = load<kF32, kNormPack>(x, at);
    weights[pack] = load<kF32, kNormPack>(call.weight, at);
    if (call.delta == nullptr) continue;
    const auto added = load<kType, kNormPack>(row_of<kType>(call.delta, row, call.size), at);
#pragma unroll
    for (int i = 0; i < kNormPack; ++i) values[pack].x[i] += added.x[i];
  }
  if (call.delta != nullptr && call.rows == nullptr) {
#pragma unroll
    for (int pack = 0; pack < kPacks; ++pack) {
      const int at = first + pack * step;
      if (at < call.size) store<kF32>(x, at, values[pack]);
    }
  }

  float squares = 0.0f;
#pragma unroll
  for (const Floats<kNormPack>& pack : values) {
#pragma unroll
    for (const float value : pack.x) squares += value * value;
  }
  const float mean = block_sum(squares) / static_cast<float>(call.size);
  const float factor = 1.0f / sqrtf(mean + call.eps);
#pragma unroll
  for (int pack = 0; pack < kPacks; ++pack) {
    const int at = first + pack * step;
    if (at >= call.size) continue;
#pragma unroll
    for (int i = 0; i < kNormPack; ++i) values[pack].x[i] *= factor * weights[pack].x[i];
    store<kType>(y, at, values[pack]);
  }
}

// As the CPU's kernels, which bound the exponent so that e^-g is no infinity.
__device__ __forceinline__ float silu(float gate) {
  return gate / (1.0f + expf(fminf(-gate, 88.0f)));
}

template <ElementType kType>
__global__ void __launch_bounds__(kRowThreadsMax) swiglu_kernel(DeviceSwigluCall call) {
  constexpr int kPack = kSwigluPack<kType>;
  const int at = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x) * kPack;
  const int row = static_cast<int>(blockIdx.y);
  if (at >= call.size) return;
  const auto gate = load<kType, kPack>(row_of<kType>(call.gate_up, 2 * row, call.size), at);
  auto product = load<kType, kPack>(row_of<kType>(call.gate_up, 2 * row + 1, call.size), at);
#pragma unroll
  for (int i = 0; i < kPack; ++i) product.x[i] *= silu(gate.x[i]);
  store<kType>(row_of<kType>(call.y, row, call.size), at, product);
}

// Dimensions that turn together. Those that do not turn are the pairs from n_pairs on.
struct Pair {
  int first;
  int second;
};

__device__ __forceinline__ Pair pair_of(const HeadsCall& call, int index) {
  if (call.interleaved) return {2 * index, 2 * index + 1};
  if (index < call.n_pairs) return {index, index + call.n_pairs};
  return {index + call.n_pairs, index + call.head_dim / 2};
}

// A block has heads of one row, a warp each, and their cosines and sines once. Lane l has pairs l,
// l + 32, ...
template <ElementType kType, int kPairs>
__global__ void __launch_bounds__(kWarp* kHeadWarps) heads_kernel(HeadsCall call) {
  __shared__ float2 turns[kPairsMax];  // cosine, sine
  const int thread = static_cast<int>(threadIdx.x), lane = thread % kWarp;
  const int row = static_cast<int>(blockIdx.y);
  const int head = static_cast<int>(blockIdx.x) * kHeadWarps + thread / kWarp;
  const int n_turned = call.n_heads + call.n_kv_heads;
  const int n_all = n_turned + call.n_kv_heads;
  const int dim = call.head_dim;
  const bool exists = head < n_all;

  float a[kPairs] = {};
  float b[kPairs] = {};
  const void* const x = row_of<kType>(call.qkv, row, static_cast<int64_t>(n_all) * dim);
#pragma unroll
  for (int i = 0; i < kPairs; ++i) {
    if (!exists || i * kWarp + lane >= dim / 2) continue;
    const Pair pair = pair_of(call, i * kWarp + lane);
    const int first = head * dim + pair.first, second = head * dim + pair.second;
    a[i] = load_one<kType>(x, first);
    b[i] = load_one<kType>(x, second);
    if (call.bias == nullptr) continue;
    a[i] += call.bias[first];
    b[i] += call.bias[second];
  }
  if (thread < call.n_pairs) {
    const float angle = static_cast<float>(call.positions[row]) * call.inverse_frequencies[thread];
    float sine, cosine;
    sincosf(angle, &sine, &cosine);
    turns[thread] = {cosine * call.magnitude, sine * call.magnitude};
  }
  __syncthreads();
  if (!exists) return;

  const bool is_q = head < call.n_heads, is_v = head >= n_turned;
  const float* const weight = is_v ? nullptr : is_q ? call.q_norm : call.k_norm;
  float factor = 1.0f;
  if (weight != nullptr) {
    float squares = 0.0f;
#pragma unroll
    for (int i = 0; i < kPairs; ++i) squares += a[i] * a[i] + b[i] * b[i];
    factor = 1.0f / sqrtf(warp_sum(squares) / static_cast<float>(dim) + call.eps);
  }
  const int64_t kv_row =
      static_cast<int64_t>(row) * call.n_kv_heads - (is_v ? n_turned : call.n_heads);
  float* const out = is_q ? call.q + (static_cast<int64_t>(row) * call.n_heads + head) * dim
                          : (is_v ? call.v : call.k) + (kv_row + head) * dim;
#pragma unroll
  for (int i = 0; i < kPairs; ++i) {
    const int index = i * kWarp + lane;
    if (index >= dim / 2) continue;
    const Pair pair = pair_of(call, index);
    if (weight != nullptr) {
      a[i] *= factor * weight[pair.first];
      b[i] *= factor * weight[pair.second];
    }
    if (!is_v && index < call.n_pairs) {
      const float2 turn = turns[index];
      const float first = a[i];
      a[i] = first * turn.x - b[i] * turn.y;
      b[i] = b[i] * turn.x + first * turn.y;
    }
    out[pair.first] = a[i];
    out[pair.second] = b[i];
  }
}

// launch.operator()<type>().
template <class Launch>
Result<void> for_element_type(ElementType type, Launch launch) {
  switch (type) {
    case ElementType::kF32: return launch.template operator()<ElementType::kF32>();
    case ElementType::kF16: return launch.template operator()<ElementType::kF16>();
    case ElementType::kBf16: return launch.template operator()<ElementType::kBf16>();
  }
  TQ_CHECK(false, "no such element type", static_cast<int>(type));
  return {};
}

// launch.operator()<n>() with the least power of two that is n_needed or more.
template <int kMax, int kN = 1, class Launch>
Result<void> for_power_of_two(int n_needed, Launch launch) {
  if constexpr (kN < kMax) {
    if (n_needed > kN) return for_power_of_two<kMax, 2 * kN>(n_needed, launch);
  }
  return launch.template operator()<kN>();
}

int ceil_div(int n, int parts) { return (n + parts - 1) / parts; }

// Whole warps for n_packs, no more than threads_max of them to a block.
Grid row_grid(int n_packs, int n_rows, int threads_max) {
  const int threads = min(ceil_div(n_packs, kWarp) * kWarp, threads_max);
  return {
      .blocks = {static_cast<unsigned>(ceil_div(n_packs, threads)), static_cast<unsigned>(n_rows)},
      .threads = {static_cast<unsigned>(threads)}};
}

}  // namespace

Result<void> launch_embed(const EmbedCall& call, Stream stream) {
  const Grid grid = row_grid(call.size / kEmbedPack, call.n_rows, kRowThreadsMax);
  return for_element_type(call.type, [&]<ElementType kType>() {
    return run_kernel(embed_kernel<kType>, grid, stream, call);
  });
}

Result<void> launch_norm(const DeviceNormCall& call, Stream stream) {
  const int n_packs = call.size / kNormPack;
  return for_power_of_two<kNormPacksMax>(ceil_div(n_packs, kNormThreadsMax), [&]<int kPacks>() {
    const Grid grid = row_grid(ceil_div(n_packs, kPacks), call.n_rows, kNormThreadsMax);
    return for_element_type(call.type, [&]<ElementType kType>() {
      return run_kernel(norm_kernel<kType, kPacks>, grid, stream, call);
    });
  });
}

Result<void> launch_swiglu(const DeviceSwigluCall& call, Stream stream) {
  return for_element_type(call.type, [&]<ElementType kType>() {
    const Grid grid = row_grid(call.size / kSwigluPack<kType>, call.n_rows, kRowThreadsMax);
    return run_kernel(swiglu_kernel<kType>, grid, stream, call);
  });
}

Result<void> launch_heads(const HeadsCall& call, Stream stream) {
  const int n_heads = call.n_heads + 2 * call.n_kv_heads;
  const Grid grid{.blocks = {static_cast<unsigned>(ceil_div(n_heads, kHeadWarps)),
                             static_cast<unsigned>(call.n_rows)},
                  .threads = {kWarp * kHeadWarps}};
  return for_power_of_two<kPairsMax / kWarp>(ceil_div(call.head_dim / 2, kWarp), [&]<int kPairs>() {
    return for_element_type(call.type, [&]<ElementType kType>() {
      return run_kernel(heads_kernel<kType, kPairs>, grid, stream, call);
    });
  });
}

}  // namespace tq::kernels::cuda
