#pragma once
// LoopLogits: the runner's SelectLogits on rows in ordinary memory (loop_select.h), which nobody
// has to wait for. One thread.

#include <cstddef>
#include <cstdint>
#include <span>

#include "engine/select_logits.h"
#include "tests/support/loop_select.h"

namespace tq::test {

class LoopLogits {
 public:
  explicit LoopLogits(size_t top_room) : select_(top_room) {}

  // [n_rows, row_size]; they outlive what is asked about them.
  engine::DeviceLogits& reset(std::span<float> logits, int32_t row_size) {
    logits_.begin(logits, row_size);
    return logits_;
  }

  int n_fetched() const { return select_.n_fetched(); }

 private:
  LoopSelect select_;
  engine::SelectLogits logits_{select_, [] { return Result<void>(); }};
};

}  // namespace tq::test
