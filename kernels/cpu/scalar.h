#pragma once
// The "scalar" backend: the executable specification of the seam. Slow and obvious; double
// precision sums, softmax in two passes, every cached row decoded by quant/. Engine thread only.

#include <memory>

#include "config/result.h"
#include "kernels/paged_attention.h"

namespace tq::kernels::cpu {

Result<std::unique_ptr<PagedAttention>> make_scalar(const AttentionOptions& options);

}  // namespace tq::kernels::cpu
