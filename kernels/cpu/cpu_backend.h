#pragma once
// The CPU backends "avx2", "avx512" and "neon": one class over a table of ISA kernels. Engine
// thread only; a fixed pool of threads works inside append() and attend(), which allocate nothing.

#include <memory>

#include "config/result.h"
#include "kernels/cpu/isa_kernels.h"
#include "kernels/paged_attention.h"

namespace tq::kernels::cpu {

Result<std::unique_ptr<PagedAttention>> make_cpu_backend(const IsaKernels& kernels,
                                                         const AttentionOptions& options);

}  // namespace tq::kernels::cpu
