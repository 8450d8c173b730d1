// The SIMD backend of a build for 64-bit ARM, if this machine can run it.
#include <asm/hwcap.h>
#include <sys/auxv.h>

#include <array>

#include "kernels/backend_list.h"
#include "kernels/cpu/cpu_backend.h"
#include "kernels/cpu/neon.h"

namespace tq::kernels {
namespace {

Result<std::unique_ptr<PagedAttention>> make_neon(const AttentionOptions& options) {
  return cpu::make_cpu_backend(cpu::neon::kernels(), options);
}

bool has_dot_products() { return (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0; }

}  // namespace

std::span<const BackendEntry> simd_backends() noexcept {
  static const std::array<BackendEntry, 1> entries{BackendEntry{
      .name = "neon",
      .missing = has_dot_products() ? "" : "this CPU has no dot products (Armv8.2 FEAT_DotProd)",
      .make = make_neon,
      .layer = neon::layer_kernels()}};
  return entries;
}

}  // namespace tq::kernels
