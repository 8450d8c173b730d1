#pragma once
// The SIMT shim: CUDA's words for g++, so that a kernel's own source runs on the CPU. Included by
// kernels/cuda/ptx.cuh wherever nvcc does not compile. Tests only; one OS thread at a time.
//
// The threads of a block are fibers. Every collective of a warp or a block is a meeting: it happens
// when all named lanes have come to the same one, and a lane that comes to another one, or has
// ended, aborts the test with both places. A seed shuffles the order in which warps and lanes run,
// which finds barriers that are missing. Shared memory starts as poison.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __restrict__
#define __shared__ static  // one block runs at a time, and each of its launches writes it first
#define __align__(n) alignas(n)

using std::max;
using std::min;

struct dim3 {
  unsigned x = 1, y = 1, z = 1;
};
struct alignas(8) uint2 {
  unsigned x, y;
};
struct alignas(16) uint4 {
  unsigned x, y, z, w;
};
struct alignas(8) float2 {
  float x, y;
};
struct alignas(16) float4 {
  float x, y, z, w;
};

namespace tq::kernels::simt {

// Where a collective is called; std::source_location, which clang 14 does not know.
struct Place {
  const char* file = "";
  unsigned line = 0;

  static constexpr Place current(const char* file = __builtin_FILE(),
                                 unsigned line = __builtin_LINE()) {
    return {file, line};
  }
};

struct Launch {
  dim3 grid;
  dim3 block;
  size_t shared_bytes = 0;
  uint32_t seed = 0;  // 0: lanes run in their order
};

// Another order of lanes for each launch: 1, 2, ...
uint32_t next_seed();

// Runs every block of a grid to its end, one after the other.
void launch(const Launch& options, const std::function<void()>& kernel);

// The running thread.
struct Thread {
  dim3 thread_idx;
  dim3 block_idx;
  dim3 block_dim;
  dim3 grid_dim;
  std::byte* shared = nullptr;
};
const Thread& self();

[[noreturn]] void fail(const char* what, const Place& place);

// One meeting of the lanes in `mask`. Each brings a slot; `act` runs once, over the slots of all 32
// lanes (null for those outside the mask).
using Slots = void* (&)[32];
void meet(uint32_t mask, void* slot, void (*act)(Slots slots), const Place& place);
void meet_block(const Place& place);

// A 4-byte value of each lane, in and out.
struct Exchange {
  uint32_t in = 0;
  int argument = 0;
  uint32_t out = 0;
};
uint32_t exchange(uint32_t mask, Exchange slot, void (*act)(Slots slots), const Place& place);

template <class T>
uint32_t to_bits(T value) {
  static_assert(sizeof(T) == 4);
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}
template <class T>
T from_bits(uint32_t bits) {
  T value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

void act_xor(Slots slots);
void act_index(Slots slots);
void act_down(Slots slots);
void act_ballot(Slots slots);
void act_nothing(Slots slots);

}  // namespace tq::kernels::simt

#define threadIdx (::tq::kernels::simt::self().thread_idx)
#define blockIdx (::tq::kernels::simt::self().block_idx)
#define blockDim (::tq::kernels::simt::self().block_dim)
#define gridDim (::tq::kernels::simt::self().grid_dim)

inline void __syncthreads(
    const tq::kernels::simt::Place& place = tq::kernels::simt::Place::current()) {
  tq::kernels::simt::meet_block(place);
}
inline void __syncwarp(
    uint32_t mask = 0xffffffffu,
    const tq::kernels::simt::Place& place = tq::kernels::simt::Place::current()) {
  tq::kernels::simt::exchange(mask, {}, tq::kernels::simt::act_nothing, place);
}
template <class T>
T __shfl_xor_sync(uint32_t mask,
                  T value,
                  int lanes,
                  const tq::kernels::simt::Place& place = tq::kernels::simt::Place::current()) {
  namespace simt = tq::kernels::simt;
  return simt::from_bits<T>(
      simt::exchange(mask, {simt::to_bits(value), lanes}, simt::act_xor, place));
}
template <class T>
T __shfl_sync(uint32_t mask,
              T value,
              int lane,
              const tq::kernels::simt::Place& place = tq::kernels::simt::Place::current()) {
  namespace simt = tq::kernels::simt;
  return simt::from_bits<T>(
      simt::exchange(mask, {simt::to_bits(value), lane}, simt::act_index, place));
}
template <class T>
T __shfl_down_sync(uint32_t mask,
                   T value,
                   int lanes,
                   const tq::kernels::simt::Place& place = tq::kernels::simt::Place::current()) {
  namespace simt = tq::kernels::simt;
  return simt::from_bits<T>(
      simt::exchange(mask, {simt::to_bits(value), lanes}, simt::act_down, place));
}
inline uint32_t __ballot_sync(
    uint32_t mask,
    bool bit,
    const tq::kernels::simt::Place& place = tq::kernels::simt::Place::current()) {
  return tq::kernels::simt::exchange(mask, {bit, 0}, tq::kernels::simt::act_ballot, place);
}
inline bool __any_sync(
    uint32_t mask,
    bool bit,
    const tq::kernels::simt::Place& place = tq::kernels::simt::Place::current()) {
  return __ballot_sync(mask, bit, place) != 0;
}
inline bool __all_sync(
    uint32_t mask,
    bool bit,
    const tq::kernels::simt::Place& place = tq::kernels::simt::Place::current()) {
  return __ballot_sync(mask, bit, place) == mask;
}
// One thread runs at a time.
template <class T>
T atomicAdd(T* at, T value) {
  const T old = *at;
  *at = old + value;
  return old;
}
template <class T>
T atomicOr(T* at, T value) {
  const T old = *at;
  *at = old | value;
  return old;
}
template <class T>
T atomicMax(T* at, T value) {
  const T old = *at;
  *at = old < value ? value : old;
  return old;
}
