#pragma once
// LoopLogits: DeviceLogits on rows in ordinary memory (loop_select.h). One thread.

#include <cstddef>
#include <cstdint>
#include <span>

#include "engine/device_logits.h"
#include "tests/support/loop_select.h"

namespace tq::test {

class LoopLogits final : public engine::DeviceLogits {
 public:
  explicit LoopLogits(size_t top_room) : select_(top_room) {}

  // [n_rows, row_size]; they outlive what is asked about them.
  void reset(std::span<float> logits, int32_t row_size) {
    logits_ = logits;
    row_size_ = row_size;
  }

  int32_t n_rows() const noexcept override {
    return static_cast<int32_t>(logits_.size()) / row_size_;
  }
  Result<const kernels::DeviceSelect*> select(const engine::RowQuestions& questions,
                                              int32_t n_tokens) override {
    TQ_TRY(select_.select({.logits = logits_.data(),
                           .n_rows = n_rows(),
                           .row_size = row_size_,
                           .n_tokens = n_tokens,
                           .raw_queries = questions.raw_queries,
                           .changes = questions.changes,
                           .queries = questions.queries}));
    return &select_;
  }
  Result<std::span<float>> fetch(int32_t row, int32_t n_tokens) override {
    return select_.fetch(logits_.data() + int64_t{row} * row_size_, n_tokens);
  }

  int n_fetched() const { return select_.n_fetched(); }

 private:
  LoopSelect select_;
  std::span<float> logits_;
  int32_t row_size_ = 1;
};

}  // namespace tq::test
