#pragma once
// LoopLogits: the runner's SelectLogits on rows in ordinary memory (loop_select.h), which nobody
// has to wait for. One thread.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <utility>

#include "engine/select_logits.h"
#include "tests/support/loop_select.h"

namespace tq::test {

class LoopLogits {
 public:
  explicit LoopLogits(
      size_t top_room, std::function<void()> on_wait = [] {})
      : select_(top_room), logits_(select_, [on_wait = std::move(on_wait)] {
          on_wait();
          return Result<void>();
        }) {}

  // [n_rows, row_size]; they outlive what is asked about them.
  engine::DeviceLogits& reset(std::span<float> logits, int32_t row_size) {
    logits_.begin(logits, row_size);
    return logits_;
  }

  int n_fetched() const { return select_.n_fetched(); }

 private:
  LoopSelect select_;
  engine::SelectLogits logits_;
};

}  // namespace tq::test
