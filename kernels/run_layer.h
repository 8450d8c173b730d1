#pragma once
// A decoder layer's kernels on a pool of threads: linear layers split by panels of outputs, the
// others by rows. Results do not depend on the number of threads. Engine thread. Allocates only
// where a linear layer has more inputs than any before.

#include <cstdint>
#include <vector>

#include "kernels/cpu/thread_pool.h"
#include "kernels/layer_kernels.h"

namespace tq::kernels {

// Owns the coded blocks of rows.
class CodedBuffer {
 public:
  // Room for n_blocks; what it held is lost.
  CodedRows resize(size_t n_blocks);

 private:
  std::vector<CodedInputs> inputs_;
  std::vector<float> units_;
  std::vector<float> sums_;
  std::vector<InputTotals> totals_;
};

class LayerRunner {
 public:
  // The pool outlives the runner.
  LayerRunner(const LayerKernels& kernels, cpu::ThreadPool& pool) noexcept
      : kernels_(kernels), pool_(&pool) {}
  LayerRunner(const LayerRunner&) = delete;  // layers share one
  LayerRunner& operator=(const LayerRunner&) = delete;

  const LayerKernels& kernels() const noexcept { return kernels_; }

  // The calls' ranges of panels or rows, and coded or split inputs, are ignored: everything is
  // computed.
  void linear(LinearCall call);
  void norm(const NormCall& call) const noexcept;
  void swiglu(const SwigluCall& call) const noexcept;

  // fn(context, begin, end) for ranges that together are rows [0, n_rows), of `size` floats each;
  // few floats are not worth waking a thread.
  using RowsFn = void (*)(const void* context, int64_t begin, int64_t end);
  void rows(int64_t n_rows, int64_t size, RowsFn fn, const void* context) const noexcept;

 private:
  void code_inputs(LinearCall& call);
  void split_inputs(LinearCall& call);

  LayerKernels kernels_;
  cpu::ThreadPool* pool_;
  CodedBuffer coded_;
  std::vector<SplitInputs> split_;
};

}  // namespace tq::kernels
