#include "kernels/run_linear.h"

#include <algorithm>

namespace tq::kernels {
namespace {

struct Split {
  LinearCall call;
  LinearFn function;
  int64_t item_panels;
};

void run_item(void* context, int item, int /*thread*/) {
  const auto& split = *static_cast<const Split*>(context);
  LinearCall part = split.call;
  part.panel_begin = item * split.item_panels;
  part.panel_end = std::min(part.panel_begin + split.item_panels, part.weights->n_panels());
  split.function(part);
}

}  // namespace

void run_linear(const LinearCall& call, LinearFn function, cpu::ThreadPool& pool) noexcept {
  // A few items per thread level out a core that is busy elsewhere; a multiple of 4 panels keeps
  // the kernel's widest tiles whole.
  constexpr int64_t kItemsPerThread = 4;
  const int64_t n_panels = call.weights->n_panels();
  const int64_t wanted = pool.n_threads() * kItemsPerThread;
  const int64_t item_panels = std::max<int64_t>(4, (n_panels / wanted + 3) / 4 * 4);
  Split split{call, function, item_panels};
  const auto n_items = static_cast<int>((n_panels + item_panels - 1) / item_panels);
  pool.run(n_items, run_item, &split);
}

}  // namespace tq::kernels
