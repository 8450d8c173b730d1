#pragma once
// The backends that a test binary is about. Each binary has its own backends: those of ordinary
// memory, "cuda" on a device, or the CUDA kernels' source on the CPU. Any thread.

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/paged_attention.h"

namespace tq::kernels::test {

std::vector<std::string> backends_under_test();
// One of those, or "scalar". Its spans lie in ordinary memory. Throws where it cannot be made.
std::unique_ptr<PagedAttention> make_test_backend(std::string_view name,
                                                  const AttentionOptions& options);

}  // namespace tq::kernels::test
