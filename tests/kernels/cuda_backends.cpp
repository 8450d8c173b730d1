// "cuda", on a device or, where the binary is made of the kernels' source for g++, on the CPU.
#include <stdexcept>
#include <utility>

#include "kernels/cuda/cuda_backend.h"
#include "tests/kernels/backends.h"
#include "tests/kernels/mirrored.h"

namespace tq::kernels::test {
namespace {

template <class T>
T need(Result<T> result) {
  if (!result.ok()) throw std::runtime_error(result.error().describe());
  return std::move(result).value();
}

}  // namespace

std::vector<std::string> backends_under_test() { return {"cuda"}; }

std::unique_ptr<PagedAttention> make_test_backend(std::string_view name,
                                                  const AttentionOptions& options) {
  if (name != "cuda") return need(make_backend(name, options));
  return mirror(need(cuda::make_device_attention(options, nullptr)));
}

}  // namespace tq::kernels::test
