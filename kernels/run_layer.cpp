#include "kernels/run_layer.h"

#include <algorithm>

#include "config/check.h"

namespace tq::kernels {
namespace {

// A few items per thread level out a core that is busy elsewhere.
constexpr int64_t kItemsPerThread = 4;

struct PanelSplit {
  LinearCall call;
  LinearFn function;
  int64_t item_panels;
};

void run_panels(void* context, int item, int /*thread*/) {
  const auto& split = *static_cast<const PanelSplit*>(context);
  LinearCall part = split.call;
  part.panel_begin = item * split.item_panels;
  part.panel_end = std::min(part.panel_begin + split.item_panels, part.weights->n_panels());
  split.function(part);
}

struct RowSplit {
  LayerRunner::RowsFn function;
  const void* context;
  int64_t n_rows;
  int64_t item_rows;
};

void run_rows(void* context, int item, int /*thread*/) {
  const auto& split = *static_cast<const RowSplit*>(context);
  const int64_t begin = item * split.item_rows;
  split.function(split.context, begin, std::min(begin + split.item_rows, split.n_rows));
}

// A call that has rows, and its function.
template <class Call>
struct Rows {
  Call call;
  void (*function)(const Call&) noexcept;

  static void run(const void* context, int64_t begin, int64_t end) {
    const auto& rows = *static_cast<const Rows*>(context);
    Call part = rows.call;
    part.row_begin = begin;
    part.row_end = end;
    rows.function(part);
  }
};

}  // namespace

CodedRows CodedBuffer::resize(size_t n_blocks) {
  if (inputs_.size() < n_blocks) {
    units_.resize(n_blocks);
    sums_.resize(n_blocks);
    totals_.resize(n_blocks);
    inputs_.resize(n_blocks);  // last: it is what is asked, and each may throw
  }
  return {inputs_.data(), units_.data(), sums_.data(), totals_.data()};
}

void LayerRunner::code_inputs(LinearCall& call) {
  const int64_t n_inputs = call.weights->n_inputs();
  call.coded = coded_.resize(static_cast<size_t>(call.n_rows * n_inputs / kCodeInputs));
  const auto n_floats = static_cast<size_t>(call.n_rows * n_inputs);
  const Rows<CodeInputsCall> context{
      {.x = call.x.first(n_floats), .coded = call.coded, .n_inputs = n_inputs},
      kernels_.code_inputs};
  rows(call.n_rows, n_inputs, Rows<CodeInputsCall>::run, &context);
}

void LayerRunner::split_inputs(LinearCall& call) {
  const int64_t n_inputs = call.weights->n_inputs();
  const auto n_blocks = static_cast<size_t>(call.n_rows * n_split_blocks(n_inputs));
  if (split_.size() < n_blocks) split_.resize(n_blocks);
  const Rows<SplitInputsCall> context{{.x = call.x, .split = split_, .n_inputs = n_inputs},
                                      kernels_.split_inputs};
  rows(call.n_rows, n_inputs, Rows<SplitInputsCall>::run, &context);
  call.split = std::span(split_).first(n_blocks);
}

void LayerRunner::linear(LinearCall call) {
  TQ_CHECK(call.y_stride >= call.weights->n_outputs(), "linear: rows of y overlap", call.y_stride,
           call.weights->n_outputs());
  const PackedType type = call.weights->type();
  if (is_codes(type) && kernels_.code_inputs != nullptr) code_inputs(call);
  if (type == PackedType::kBf16 && kernels_.split_inputs != nullptr) split_inputs(call);
  // A multiple of 4 panels keeps the kernel's widest tiles whole.
  const int64_t n_panels = call.weights->n_panels();
  const int64_t wanted = pool_->n_threads() * kItemsPerThread;
  const int64_t item_panels = std::max<int64_t>(4, (n_panels / wanted + 3) / 4 * 4);
  PanelSplit split{call, kernels_.linear, item_panels};
  const auto n_items = static_cast<int>((n_panels + item_panels - 1) / item_panels);
  pool_->run(n_items, run_panels, &split);
}

void LayerRunner::rows(int64_t n_rows,
                       int64_t size,
                       RowsFn fn,
                       const void* context) const noexcept {
  constexpr int64_t kItemFloats = 8192;  // some microseconds of work
  const int64_t wanted = pool_->n_threads() * kItemsPerThread;
  const int64_t item_rows =
      std::max((n_rows + wanted - 1) / wanted, (kItemFloats + size - 1) / size);
  RowSplit split{fn, context, n_rows, item_rows};
  pool_->run(static_cast<int>((n_rows + item_rows - 1) / item_rows), run_rows, &split);
}

void LayerRunner::norm(const NormCall& call) const noexcept {
  const auto size = static_cast<int64_t>(call.weight.size());
  const Rows<NormCall> context{call, kernels_.norm};
  rows(static_cast<int64_t>(call.y.size()) / size, size, Rows<NormCall>::run, &context);
}

void LayerRunner::swiglu(const SwigluCall& call) const noexcept {
  const Rows<SwigluCall> context{call, kernels_.swiglu};
  rows(static_cast<int64_t>(call.y.size()) / call.size, call.size, Rows<SwigluCall>::run, &context);
}

}  // namespace tq::kernels
