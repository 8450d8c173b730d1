#pragma once
// run_linear(): a whole linear layer on a pool of threads, split by panels of outputs. The result
// does not depend on the number of threads. Engine thread.

#include "kernels/cpu/thread_pool.h"
#include "kernels/linear.h"

namespace tq::kernels {

// call.panel_begin and call.panel_end are ignored: all panels are computed.
void run_linear(const LinearCall& call, LinearFn function, cpu::ThreadPool& pool) noexcept;

}  // namespace tq::kernels
