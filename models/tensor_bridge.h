#pragma once
// Tensor <-> span, checked once: the only place where a LibTorch tensor's memory is taken as ours.
// Engine thread; a span is valid as long as its tensor.

#include <ATen/core/Tensor.h>

#include <span>

#include "config/check.h"

namespace tq::models {

// All elements of a contiguous fp32 tensor on the CPU.
inline std::span<float> f32_span(const at::Tensor& tensor) {
  TQ_CHECK(tensor.scalar_type() == at::kFloat && tensor.is_contiguous() && tensor.is_cpu(),
           "expected a contiguous fp32 tensor on the CPU, not", tensor.scalar_type(),
           tensor.device().str());
  return {tensor.data_ptr<float>(), static_cast<size_t>(tensor.numel())};
}

}  // namespace tq::models
