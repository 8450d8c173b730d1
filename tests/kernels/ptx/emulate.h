#pragma once
// Puts PTX in the place of the CUDA kernels' source: from then on what the emulated backend
// launches (simt/) is what nvcc made of it. One thread.

#include <memory>
#include <string>

#include "tests/kernels/ptx/module.h"

namespace tq::kernels::ptx {

// For all launches to come. Throws a Fault where a kernel does what it must not.
void emulate(std::shared_ptr<Program> program);

}  // namespace tq::kernels::ptx
