// What sampling needs of a row of logits, in three kernels and two passes over the row, which an L2
// cache holds between them: `survey` finds maxima of groups, `weigh` takes from them the row's
// maximum and a bound that the wanted logits reach, collects what reaches it, and sums weights;
// `settle` adds the sums and finds where a number falls. Bytes per token: 8, and 1/32 of sums.
//
// Compiled without contraction: weights are those of the CPU. Their sums are exact, so neither the
// order of additions nor that of blocks matters.
#include "kernels/cuda/dispatch.cuh"
#include "kernels/cuda/select_launch.h"

namespace tq::kernels::cuda {
namespace {

constexpr int kWarp = 32;
constexpr int kWarps = kSelectThreads / kWarp;
constexpr int kThreadMaxima = kSelectGroups / kSelectThreads;
constexpr int kChangeThreads = 256;
// The least that is no kExcludedLogit.
constexpr float kLeastLogit = -0x1.fffffcp127f;

__device__ __forceinline__ double shuffle(double value, int lane) {
  const uint64_t bits = std::bit_cast<uint64_t>(value);
  const uint64_t low = __shfl_sync(~0u, static_cast<uint32_t>(bits), lane);
  const uint64_t high = __shfl_sync(~0u, static_cast<uint32_t>(bits >> 32), lane);
  return std::bit_cast<double>(high << 32 | low);
}

// The same in all lanes.
__device__ __forceinline__ double warp_sum(double value, int lane) {
#pragma unroll
  for (int distance = 1; distance < kWarp; distance *= 2) value += shuffle(value, lane ^ distance);
  return value;
}
__device__ __forceinline__ int warp_sum(int value) {
#pragma unroll
  for (int distance = 1; distance < kWarp; distance *= 2) {
    value += __shfl_xor_sync(~0u, value, distance);
  }
  return value;
}
__device__ __forceinline__ float warp_max(float value) {
#pragma unroll
  for (int distance = 1; distance < kWarp; distance *= 2) {
    value = fmaxf(value, __shfl_xor_sync(~0u, value, distance));
  }
  return value;
}

// Which part of a row a thread has, and its query.
struct Seat {
  int query;
  int lane;
  int thread;  // of the row
  const float* row;

  __device__ static Seat take(const SelectParams& p) {
    Seat seat;
    seat.query = static_cast<int>(blockIdx.y);
    seat.thread = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
    seat.lane = seat.thread % kWarp;
    seat.row = p.logits + static_cast<int64_t>(p.queries[seat.query].asked.row) * p.row_size;
    return seat;
  }
};

// A thread's logits of tokens `first`, `first` + kStep, ...; excluded ones behind the row's end.
template <int kStep>
struct Logits {
  float x[kSelectLoads];

  __device__ static Logits load(const SelectParams& p, const Seat& seat, int first) {
    Logits logits;
#pragma unroll
    for (int i = 0; i < kSelectLoads; ++i) {
      const int token = first + i * kStep;
      logits.x[i] = token < p.n_tokens ? seat.row[token] : kExcludedLogit;
    }
    return logits;
  }
};

__global__ void __launch_bounds__(kChangeThreads) change_kernel(SelectParams p) {
  const int at = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (at >= p.n_changes) return;
  const LogitChange change = p.changes[at];
  float* const logit = p.logits + static_cast<int64_t>(change.row) * p.row_size + change.token;
  p.raw[at] = *logit;
  if (*logit - *logit != 0.0f) p.bad_rows[change.row] = 1;
  *logit = changed_logit(p.raw[at], change);
}

__global__ void __launch_bounds__(kSelectThreads) survey_kernel(SelectParams p) {
  const Seat seat = Seat::take(p);
  float largest = kExcludedLogit;
  // x - x is 0 for finite x and NaN for all others, and a NaN never leaves a sum.
  float taint = 0.0f;
  for (int first = seat.thread; first < p.n_tokens; first += kSelectLoads * kSelectGroups) {
    const auto logits = Logits<kSelectGroups>::load(p, seat, first);
#pragma unroll
    for (int i = 0; i < kSelectLoads; ++i) {
      largest = fmaxf(largest, logits.x[i]);
      taint += logits.x[i] - logits.x[i];
    }
  }
  if (taint != 0.0f) p.bad_rows[p.queries[seat.query].asked.row] = 1;
  p.maxima[static_cast<int64_t>(seat.query) * kSelectGroups + seat.thread] = largest;
}

// An integer that orders as floats do, zeros of both signs aside.
__device__ __forceinline__ uint32_t to_key(float x) {
  const uint32_t bits = __float_as_uint(x);
  return bits >> 31 != 0 ? ~bits : bits | 0x80000000u;
}
__device__ __forceinline__ float from_key(uint32_t key) {
  return __uint_as_float(key >> 31 != 0 ? key & 0x7fffffffu : ~key);
}

struct Bounds {
  float max;    // of the row
  float least;  // that n_top of its tokens reach
};

// A bound is built from its highest bit on: a bit stays if n_top maxima still reach it, and no more
// are looked for once it is that many. The same in all threads of all blocks.
__device__ __forceinline__ Bounds find_bounds(const SelectParams& p, const Seat& seat) {
  __shared__ float largest[kWarps];
  __shared__ int n_reach[32];
  const int thread = static_cast<int>(threadIdx.x);
  const float* const maxima = p.maxima + static_cast<int64_t>(seat.query) * kSelectGroups;
  uint32_t keys[kThreadMaxima];
  float own = kExcludedLogit;
#pragma unroll
  for (int i = 0; i < kThreadMaxima; ++i) {
    const float x = maxima[i * kSelectThreads + thread];
    own = fmaxf(own, x);
    keys[i] = to_key(x);
  }
  own = warp_max(own);
  if (seat.lane == 0) largest[thread / kWarp] = own;
  if (thread < 32) n_reach[thread] = 0;
  __syncthreads();
  Bounds bounds{.max = warp_max(largest[seat.lane % kWarps]), .least = 0.0f};
  const int n_top = p.queries[seat.query].asked.n_top;
  uint32_t bound = 0;
  for (int bit = 31; bit >= 0; --bit) {
    const uint32_t trial = bound | 1u << bit;
    int n = 0;
#pragma unroll
    for (int i = 0; i < kThreadMaxima; ++i) n += keys[i] >= trial;
    n = warp_sum(n);
    if (seat.lane == 0) atomicAdd(&n_reach[bit], n);
    __syncthreads();
    if (n_reach[bit] >= n_top) bound = trial;
    if (n_reach[bit] == n_top) break;
  }
  bounds.least = fmaxf(from_key(bound), kLeastLogit);
  return bounds;
}

__global__ void __launch_bounds__(kSelectThreads) weigh_kernel(SelectParams p) {
  const Seat seat = Seat::take(p);
  const Bounds bounds = find_bounds(p, seat);
  const SelectQuery query = p.queries[seat.query];
  SelectFacts& facts = p.facts[seat.query];
  if (seat.thread == 0) facts.max = bounds.max;
  for (int g = seat.thread / kWarp; g < p.n_granules; g += kSelectParts * kWarps) {
    const int first = g * kGranule + seat.lane;
    const auto logits = Logits<kWarp>::load(p, seat, first);
#pragma unroll
    for (int i = 0; i < kSelectLoads; ++i) {
      if (logits.x[i] < bounds.least) continue;
      const int at = atomicAdd(&facts.n_top, 1);
      if (at < query.top_size) {
        p.top[query.top_first + at] = {first + i * kWarp, logits.x[i]};
      }
    }
    if (query.asked.factor == 0.0f) continue;
    double sum = 0.0;
#pragma unroll
    for (int i = 0; i < kSelectLoads; ++i) {
      sum += token_weight(logits.x[i], bounds.max, query.asked.factor);
    }
    sum = warp_sum(sum, seat.lane);
    if (seat.lane == 0) p.sums[static_cast<int64_t>(seat.query) * p.n_granules + g] = sum;
  }
}

struct Range {
  int first;
  int n;
};

// Of 32 stretches of a range, the one where the sum of weights exceeds the target; `before` is the
// sum of all that comes before the range. The lanes sum a stretch each.
template <class WeightOf>
__device__ __forceinline__ Range
narrow(Range range, int lane, double target, double& before, WeightOf weight_of) {
  const int stretch = (range.n + kWarp - 1) / kWarp;
  const auto length = [&](int i) { return max(min(stretch, range.n - i * stretch), 0); };
  double own = 0.0;
  for (int i = 0; i < length(lane); ++i) own += weight_of(range.first + lane * stretch + i);
  double through = own;
#pragma unroll
  for (int distance = 1; distance < kWarp; distance *= 2) {
    const double other = shuffle(through, lane - distance);
    if (lane >= distance) through += other;
  }
  const int chosen = warp_sum(static_cast<int>(before + through <= target));
  before += shuffle(through - own, chosen);
  return {range.first + chosen * stretch, length(chosen)};
}

// A warp has a query.
__global__ void __launch_bounds__(kWarp) settle_kernel(SelectParams p) {
  const Seat seat = Seat::take(p);
  const RowQuery asked = p.queries[seat.query].asked;
  SelectFacts& facts = p.facts[seat.query];
  const float largest = facts.max;
  if (asked.factor == 0.0f || largest < kLeastLogit) return;
  const double* const sums = p.sums + static_cast<int64_t>(seat.query) * p.n_granules;
  double total = 0.0;
  for (int g = seat.lane; g < p.n_granules; g += kWarp) total += sums[g];
  total = warp_sum(total, seat.lane);
  if (seat.lane == 0) facts.total = total;
  if (asked.u < 0.0 || total == 0.0) return;  // none: a row with infinity

  const double target = asked.u * total;
  double before = 0.0;
  Range range{0, p.n_granules};
  const auto of_granule = [&](int g) { return sums[g]; };
  while (range.n > 1) range = narrow(range, seat.lane, target, before, of_granule);
  range = {range.first * kGranule, min(kGranule, p.n_tokens - range.first * kGranule)};
  const auto of_token = [&](int token) {
    return double{token_weight(seat.row[token], largest, asked.factor)};
  };
  while (range.n > 1) range = narrow(range, seat.lane, target, before, of_token);
  if (seat.lane == 0) {
    facts.drawn = range.first;
    facts.drawn_logit = seat.row[range.first];
  }
}

unsigned count(int64_t n) { return static_cast<unsigned>(n); }

}  // namespace

Result<void> launch_change(const SelectParams& params, Stream stream) {
  const int n_blocks = (params.n_changes + kChangeThreads - 1) / kChangeThreads;
  return run_kernel(change_kernel, {.blocks = {count(n_blocks)}, .threads = {kChangeThreads}},
                    stream, params);
}

Result<void> launch_select(const SelectParams& params, int32_t n_queries, Stream stream) {
  const Grid whole{.blocks = {kSelectParts, count(n_queries)}, .threads = {kSelectThreads}};
  TQ_TRY(run_kernel(survey_kernel, whole, stream, params));
  TQ_TRY(run_kernel(weigh_kernel, whole, stream, params));
  return run_kernel(settle_kernel, {.blocks = {1, count(n_queries)}, .threads = {kWarp}}, stream,
                    params);
}

}  // namespace tq::kernels::cuda
