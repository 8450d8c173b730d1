// `turboquant-bench kv` of a build without LibTorch.
#include <cstdio>

#include "bench/kv/kv_bench.h"

namespace tq::bench {

int run_kv(int /*argc*/, char** /*argv*/) {
  std::fputs("this build has no LibTorch, so it runs no model; build with -DTQ_TORCH=ON\n", stderr);
  return 1;
}

}  // namespace tq::bench
