// "cuda", on a device or, where the binary is made of the kernels' source for g++, on the CPU.
#include "kernels/cuda/cuda_backend.h"
#include "tests/kernels/backends.h"
#include "tests/kernels/mirrored.h"
#include "tests/kernels/need.h"

namespace tq::kernels::test {

std::vector<std::string> backends_under_test() { return {"cuda"}; }

std::unique_ptr<PagedAttention> make_test_backend(std::string_view name,
                                                  const AttentionOptions& options) {
  if (name != "cuda") return need(make_backend(name, options));
  return mirror(need(cuda::make_device_attention(options, nullptr)));
}

}  // namespace tq::kernels::test
