#include "engine/select_logits.h"

#include <cstddef>
#include <utility>

#include "config/check.h"

namespace tq::engine {

SelectLogits::SelectLogits(kernels::DeviceSelect& select, Wait wait)
    : select_(select), wait_(std::move(wait)) {}

void SelectLogits::begin(std::span<float> logits, int32_t row_size) {
  TQ_CHECK(row_size > 0 && logits.size() % static_cast<size_t>(row_size) == 0,
           "rows that end early", logits.size(), row_size);
  logits_ = logits;
  row_size_ = row_size;
  is_running_ = true;
}

Result<void> SelectLogits::finish() {
  if (!std::exchange(is_running_, false)) return {};
  return wait_();
}

int32_t SelectLogits::n_rows() const noexcept {
  return static_cast<int32_t>(logits_.size() / static_cast<size_t>(row_size_));
}

Result<const kernels::DeviceSelect*> SelectLogits::select(const RowQuestions& questions,
                                                          int32_t n_tokens) {
  TQ_TRY(select_.select({.logits = logits_.data(),
                         .n_rows = n_rows(),
                         .row_size = row_size_,
                         .n_tokens = n_tokens,
                         .raw_queries = questions.raw_queries,
                         .changes = questions.changes,
                         .queries = questions.queries}));
  TQ_TRY(finish());
  return &select_;
}

Result<std::span<float>> SelectLogits::fetch(int32_t row, int32_t n_tokens) {
  TQ_CHECK(row >= 0 && row < n_rows(), "no such row", row, n_rows());
  return select_.fetch(logits_.data() + int64_t{row} * row_size_, n_tokens);
}

}  // namespace tq::engine
