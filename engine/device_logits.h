#pragma once
// DeviceLogits: a step's logits where they stay on the device that computed them, and what is asked
// about them. Engine thread only.

#include <cstdint>
#include <span>
#include <vector>

#include "config/result.h"
#include "kernels/device_select.h"

namespace tq::engine {

// About all rows of a step.
struct RowQuestions {
  std::vector<kernels::RowQuery> raw_queries;
  std::vector<kernels::LogitChange> changes;
  std::vector<kernels::RowQuery> queries;  // one per row

  void clear() {
    raw_queries.clear();
    changes.clear();
    queries.clear();
  }
};

class DeviceLogits {
 public:
  virtual ~DeviceLogits() = default;

  virtual int32_t n_rows() const noexcept = 0;  // items with sample, in the items' order
  // Once per step: of the first n_tokens of each row. Waits for the step; what failed in it on the
  // device is told here. The answers are valid until the next run().
  virtual Result<const kernels::DeviceSelect*> select(const RowQuestions& questions,
                                                      int32_t n_tokens) = 0;
  // A row as select() changed it, in ordinary memory until the next call.
  virtual Result<std::span<float>> fetch(int32_t row, int32_t n_tokens) = 0;
};

}  // namespace tq::engine
