// The backends of ordinary memory: all that are available, and AVX-512 by emulation where the
// machine can run that.
#include <algorithm>
#include <stdexcept>

#include "kernels/cpu/cpu_backend.h"
#include "tests/kernels/avx512_emulated.h"
#include "tests/kernels/backends.h"

namespace tq::kernels::test {

std::vector<std::string> backends_under_test() {
  std::vector<std::string> names;
  for (const std::string_view name : available_backends()) names.emplace_back(name);
  if (std::find(names.begin(), names.end(), "avx2") != names.end())
    names.emplace_back("avx512-emulated");
  return names;
}

std::unique_ptr<PagedAttention> make_test_backend(std::string_view name,
                                                  const AttentionOptions& options) {
  auto backend = name == "avx512-emulated"
                     ? cpu::make_cpu_backend(cpu::avx512_emulated::kernels(), options)
                     : make_backend(name, options);
  if (!backend.ok()) throw std::runtime_error(backend.error().describe());
  return std::move(backend).value();
}

}  // namespace tq::kernels::test
