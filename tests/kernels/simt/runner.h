#pragma once
// How the emulated backend runs a kernel: by calling it, or, in its place, what a test sets (ptx/).
// Tests only; one thread.

#include <cstddef>
#include <functional>
#include <span>

#include "tests/kernels/simt/simt.h"

namespace tq::kernels::simt {

using Runner = std::function<void(
    const Launch& options, const void* kernel, std::span<const std::byte> params)>;
void run_kernels_with(Runner runner);
const Runner& other_runner();  // empty: kernels are called

template <class Params>
void launch(const Launch& options, void (*kernel)(Params), const Params& params) {
  if (other_runner()) {
    other_runner()(options, reinterpret_cast<const void*>(kernel),
                   std::as_bytes(std::span(&params, 1)));
  } else {
    launch(options, [&] { kernel(params); });
  }
}

}  // namespace tq::kernels::simt
