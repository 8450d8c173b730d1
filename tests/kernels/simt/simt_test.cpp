// The shim itself: collectives against what the PTX ISA says, and that it catches divergence.
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <vector>

#include "kernels/cuda/ptx.cuh"
#include "quant/float16.h"

namespace tq::kernels::cuda {
namespace {

using simt::launch;

// Whether a kernel of one block of 64 threads aborts the process.
bool aborts(const std::function<void()>& kernel) {
  const pid_t child = fork();
  if (child == 0) {
    std::freopen("/dev/null", "w", stderr);
    signal(SIGABRT, SIG_DFL);
    launch({.grid = {1}, .block = {64}}, kernel);
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

}  // namespace

TEST_CASE("simt: shuffles, ballots and barriers, in any order of lanes", "[simt]") {
  for (const uint32_t seed : {0u, 1u, 2u}) {
    std::vector<int> sums(4);
    launch({.grid = {2, 2}, .block = {96}, .shared_bytes = 12, .seed = seed}, [&] {
      int* const shared = reinterpret_cast<int*>(shared_memory());
      int value = static_cast<int>(threadIdx.x % 32);
      for (int step = 16; step > 0; step /= 2) value += __shfl_xor_sync(~0u, value, step);
      const uint32_t even = __ballot_sync(~0u, threadIdx.x % 2 == 0);
      if (threadIdx.x % 32 == 0) shared[threadIdx.x / 32] = value + (even == 0x55555555u);
      __syncthreads();
      if (threadIdx.x == 5) {
        sums[blockIdx.y * 2 + blockIdx.x] = shared[0] + shared[1] + shared[2];
      }
    });
    CHECK(sums == std::vector<int>(4, 3 * (31 * 32 / 2 + 1)));
  }
}

TEST_CASE("simt: divergence is a failure, never a result", "[simt]") {
  // Not inside CHECK: a macro's argument has one place.
  const auto two_barriers = [] {
    if (threadIdx.x < 32) {
      __syncthreads();
    } else {
      __syncthreads();
    }
  };
  CHECK(aborts(two_barriers));
  CHECK_FALSE(aborts([] { __syncthreads(); }));
  CHECK(aborts([] {
    if (threadIdx.x != 3) __syncthreads();
  }));
  CHECK(aborts([] {
    if (threadIdx.x != 3) __syncwarp();
  }));
  CHECK(aborts([] {
    if (threadIdx.x % 2 == 0) {
      __ballot_sync(~0u, true);
    } else {
      __syncwarp();
    }
  }));
}

TEST_CASE("simt: matrix products by the layout of the PTX ISA", "[simt]") {
  // D[row][column] of small numbers, exact in every type.
  const auto a_at = [](int row, int k) { return (row * 7 + k * 3) % 11 - 5; };
  const auto b_at = [](int k, int column) { return (k * 5 + column * 2) % 13 - 6; };
  for (const bool s8 : {false, true}) {
    const int per = s8 ? 4 : 2;
    const auto pack = [&](auto entry) {
      uint32_t word = 0;
      for (int j = 0; j < per; ++j) {
        word |= s8 ? static_cast<uint32_t>(static_cast<uint8_t>(entry(j))) << 8 * j
                   : static_cast<uint32_t>(quant::float_to_bf16(static_cast<float>(entry(j))))
                         << 16 * j;
      }
      return word;
    };
    int wrong = 0;
    launch({.grid = {1}, .block = {32}}, [&] {
      const int g = static_cast<int>(threadIdx.x) / 4, t = static_cast<int>(threadIdx.x) % 4;
      uint32_t a[4], b[2];
      for (int part = 0; part < 4; ++part) {
        const int k = part / 2 * 4 * per + t * per;
        a[part] = pack([&](int j) { return a_at(g + part % 2 * 8, k + j); });
        b[part / 2] = pack([&](int j) { return b_at(k + j, g); });
      }
      int32_t sums[4];
      float float_sums[4] = {1, 1, 1, 1};
      if (s8) {
        mma_s8(sums, a, b[0], b[1], {1, 1, 1, 1});
      } else {
        mma_bf16(float_sums, a, b[0], b[1]);
        for (int i = 0; i < 4; ++i) sums[i] = static_cast<int32_t>(float_sums[i]);
      }
      for (int i = 0; i < 4; ++i) {
        int expected = 1;
        for (int k = 0; k < 8 * per; ++k) {
          expected += a_at(g + i / 2 * 8, k) * b_at(k, 2 * t + i % 2);
        }
        wrong += sums[i] != expected;
      }
    });
    CHECK(wrong == 0);
  }
}

TEST_CASE("simt: a transposed matrix", "[simt]") {
  std::vector<uint32_t> columns(32);
  launch({.grid = {1}, .block = {32}}, [&] {
    const uint32_t entry = 8 * (threadIdx.x / 4) + 2 * (threadIdx.x % 4);
    columns[threadIdx.x] = transpose_8x8(entry | (entry + 1) << 16);
  });
  for (uint32_t lane = 0; lane < 32; ++lane) {
    const uint32_t low = 16 * (lane % 4) + lane / 4;
    CHECK(columns[lane] == (low | (low + 8) << 16));
  }
}

}  // namespace tq::kernels::cuda
