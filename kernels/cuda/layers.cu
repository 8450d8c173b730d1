// What a decoder layer computes on rows besides attention and matrix products. All of it is bound
// by memory where rows are many and by latency where they are few, so a thread asks for all that it
// needs at once. Bytes per element, with rows of 16 bits: embed 6, norm 12 and 4 of weights, which
// a cache holds, swiglu 6, heads 6.
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
static_assert(kHeadDimMax / 2 <= kWarp * kHeadWarps);  // a thread for each angle

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
  const int pack = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  const int row = static_cast<int>(blockIdx.y);
  if (pack >= call.size / kEmbedPack) return;
  const void* const from = row_of<kType>(call.table, call.tokens[row], call.size);
  store<kF32>(row_of<kF32>(call.y, row, call.size), pack, load<kType, kEmbedPack>(from, pack));
}

// A thread's part of a row: thread t of n has packs t, t + n, ...; zeros behind the row's end.
template <int kPacks>
struct RowPart {
  Floats<kNormPack> packs[kPacks];
};

__device__ __forceinline__ int pack_of(int i) {
  return static_cast<int>(i * blockDim.x + threadIdx.x);
}

template <ElementType kType, int kPacks>
__device__ __forceinline__ RowPart<kPacks> load_part(const void* row, int size) {
  RowPart<kPacks> part{};
#pragma unroll
  for (int i = 0; i < kPacks; ++i) {
    if (pack_of(i) < size / kNormPack) part.packs[i] = load<kType, kNormPack>(row, pack_of(i));
  }
  return part;
}

template <ElementType kType, int kPacks>
__device__ __forceinline__ void store_part(void* row, int size, const RowPart<kPacks>& part) {
#pragma unroll
  for (int i = 0; i < kPacks; ++i) {
    if (pack_of(i) < size / kNormPack) store<kType>(row, pack_of(i), part.packs[i]);
  }
}

// A block has one row. All loads come before anything that waits for one: to that end, zeros are
// added where there is no delta.
template <ElementType kType, int kPacks>
__global__ void __launch_bounds__(kNormThreadsMax, kPacks < kNormPacksMax ? 2 : 1)
    norm_kernel(DeviceNormCall call) {
  const int out_row = static_cast<int>(blockIdx.y);
  const int row = call.rows == nullptr ? out_row : call.rows[out_row];
  const bool adds = call.delta != nullptr;
  void* const x = row_of<kF32>(call.x, row, call.size);
  RowPart<kPacks> values = load_part<kF32, kPacks>(x, call.size);
  const RowPart<kPacks> weights = load_part<kF32, kPacks>(call.weight, call.size);
  RowPart<kPacks> added{};
  if (adds) added = load_part<kType, kPacks>(row_of<kType>(call.delta, row, call.size), call.size);

  float squares = 0.0f;
#pragma unroll
  for (int pack = 0; pack < kPacks; ++pack) {
#pragma unroll
    for (int i = 0; i < kNormPack; ++i) {
      float& value = values.packs[pack].x[i];
      value += added.packs[pack].x[i];
      squares += value * value;
    }
  }
  if (adds && call.rows == nullptr) store_part<kF32>(x, call.size, values);
  const float mean = block_sum(squares) / static_cast<float>(call.size);
  const float factor = 1.0f / sqrtf(mean + call.eps);
#pragma unroll
  for (int pack = 0; pack < kPacks; ++pack) {
#pragma unroll
    for (int i = 0; i < kNormPack; ++i) {
      values.packs[pack].x[i] *= factor * weights.packs[pack].x[i];
    }
  }
  store_part<kType>(row_of<kType>(call.y, out_row, call.size), call.size, values);
}

// As the CPU's kernels, which bound the exponent so that e^-g is no infinity.
__device__ __forceinline__ float silu(float gate) {
  return gate / (1.0f + expf(fminf(-gate, 88.0f)));
}

template <ElementType kType>
__global__ void __launch_bounds__(kRowThreadsMax) swiglu_kernel(DeviceSwigluCall call) {
  constexpr int kPack = kSwigluPack<kType>;
  const int pack = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  const int row = static_cast<int>(blockIdx.y);
  if (pack >= call.size / kPack) return;
  const auto gate = load<kType, kPack>(row_of<kType>(call.gate_up, 2 * row, call.size), pack);
  auto product = load<kType, kPack>(row_of<kType>(call.gate_up, 2 * row + 1, call.size), pack);
#pragma unroll
  for (int i = 0; i < kPack; ++i) product.x[i] *= silu(gate.x[i]);
  store<kType>(row_of<kType>(call.y, row, call.size), pack, product);
}

// Of pair `index`: the dimensions that turn together. Pairs from n_pairs on do not turn.
struct Pair {
  int first;
  int second;
};

template <int kDim>
__device__ __forceinline__ Pair pair_of(const HeadsCall& call, int index) {
  if (call.interleaved) return {2 * index, 2 * index + 1};
  if (index < call.n_pairs) return {index, index + call.n_pairs};
  return {index + call.n_pairs, index + kDim / 2};
}

// A lane's part of a head: pairs l, l + 32, ...; zeros where there is none.
template <int kDim>
struct HeadPart {
  static constexpr int kPairs = (kDim / 2 + kWarp - 1) / kWarp;
  float first[kPairs];
  float second[kPairs];

  // Whether there is an i-th pair. Known when compiled where a head is whole warps of pairs.
  __device__ static bool has(int i, int lane) {
    return (i + 1) * kWarp <= kDim / 2 || i * kWarp + lane < kDim / 2;
  }
};

template <ElementType kType, int kDim>
__device__ __forceinline__ HeadPart<kDim> load_head(const void* head,
                                                    const HeadsCall& call,
                                                    int lane) {
  HeadPart<kDim> part{};
#pragma unroll
  for (int i = 0; i < part.kPairs; ++i) {
    const Pair pair = pair_of<kDim>(call, i * kWarp + lane);
    if (!part.has(i, lane)) continue;
    part.first[i] = load_one<kType>(head, pair.first);
    part.second[i] = load_one<kType>(head, pair.second);
  }
  return part;
}

// What a head is and where it goes.
struct HeadPlace {
  bool is_v;
  const float* norm;  // null: none
  float* out;
};

template <int kDim>
__device__ __forceinline__ HeadPlace place_of(const HeadsCall& call, int row, int head) {
  const int n_turned = call.n_heads + call.n_kv_heads;
  const bool is_q = head < call.n_heads, is_v = head >= n_turned;
  const int n = is_q ? call.n_heads : call.n_kv_heads;
  const int first = is_q ? 0 : is_v ? n_turned : call.n_heads;
  float* const heads = is_q ? call.q : is_v ? call.v : call.k;
  const float* const norm = is_q ? call.q_norm : call.k_norm;
  return {is_v, is_v ? nullptr : norm,
          heads + (static_cast<int64_t>(row) * n + head - first) * kDim};
}

// An angle in half turns, from -1 to 1. Of angles in the millions double keeps 2^-32 of a turn;
// what remains is one rounding to float. sincosf() would reduce large angles in local memory.
__device__ float half_turns(float angle) {
  const double turns = angle * (0.5 / 3.14159265358979323846);
  return static_cast<float>(2.0 * (turns - rint(turns)));
}

// A block has heads of one row, a warp each, and their cosines and sines once. As for norms, loads
// come first.
template <ElementType kType, int kDim>
__global__ void __launch_bounds__(kWarp* kHeadWarps) heads_kernel(HeadsCall call) {
  __shared__ float2 turns[kDim / 2];  // cosine, sine
  const int thread = static_cast<int>(threadIdx.x), lane = thread % kWarp;
  const int row = static_cast<int>(blockIdx.y);
  const int head = static_cast<int>(blockIdx.x) * kHeadWarps + thread / kWarp;
  const int n_all = call.n_heads + 2 * call.n_kv_heads;
  const bool exists = head < n_all;
  const HeadPlace place = place_of<kDim>(call, row, head);

  HeadPart<kDim> x{}, bias{}, weight{};
  if (exists) {
    const int64_t rows_head = static_cast<int64_t>(row) * n_all + head;
    x = load_head<kType, kDim>(row_of<kType>(call.qkv, rows_head, kDim), call, lane);
    if (call.bias != nullptr) bias = load_head<kF32, kDim>(call.bias + head * kDim, call, lane);
    if (place.norm != nullptr) weight = load_head<kF32, kDim>(place.norm, call, lane);
  }
  if (thread < call.n_pairs) {
    const float angle = static_cast<float>(call.positions[row]) * call.inverse_frequencies[thread];
    float sine, cosine;
    sincospif(half_turns(angle), &sine, &cosine);
    turns[thread] = {cosine * call.magnitude, sine * call.magnitude};
  }
  __syncthreads();
  if (!exists) return;

  float squares = 0.0f;
#pragma unroll
  for (int i = 0; i < x.kPairs; ++i) {
    x.first[i] += bias.first[i];
    x.second[i] += bias.second[i];
    squares += x.first[i] * x.first[i] + x.second[i] * x.second[i];
  }
  if (place.norm != nullptr) {
    const float factor = 1.0f / sqrtf(warp_sum(squares) / kDim + call.eps);
#pragma unroll
    for (int i = 0; i < x.kPairs; ++i) {
      x.first[i] *= factor * weight.first[i];
      x.second[i] *= factor * weight.second[i];
    }
  }
#pragma unroll
  for (int i = 0; i < x.kPairs; ++i) {
    const int index = i * kWarp + lane;
    if (!x.has(i, lane)) continue;
    float first = x.first[i], second = x.second[i];
    if (!place.is_v && index < call.n_pairs) {
      const float2 turn = turns[index];
      first = x.first[i] * turn.x - x.second[i] * turn.y;
      second = x.second[i] * turn.x + x.first[i] * turn.y;
    }
    const Pair pair = pair_of<kDim>(call, index);
    place.out[pair.first] = first;
    place.out[pair.second] = second;
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
  const auto launch = [&]<int kDim>() {
    return for_element_type(call.type, [&]<ElementType kType>() {
      return run_kernel(heads_kernel<kType, kDim>, grid, stream, call);
    });
  };
  return for_head_dim(call.head_dim, launch);
}

}  // namespace tq::kernels::cuda
