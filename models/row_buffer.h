#pragma once
// RowBuffer: the memory of one activation, kept from step to step. Engine thread only.

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

#include <cstdint>
#include <span>

#include "models/tensor_bridge.h"

namespace tq::models {

class RowBuffer {
 public:
  explicit RowBuffer(int64_t width) : width_(width) {}

  int64_t width() const noexcept { return width_; }
  // [n_rows, width] fp32, contents undefined; valid until the next call for more rows.
  std::span<float> rows(int64_t n_rows) {
    if (n_rows > n_rows_) {
      memory_ = at::empty({n_rows, width_});
      n_rows_ = n_rows;
    }
    return f32_span(memory_).first(static_cast<size_t>(n_rows * width_));
  }

 private:
  int64_t width_;
  int64_t n_rows_ = 0;
  at::Tensor memory_;
};

}  // namespace tq::models
