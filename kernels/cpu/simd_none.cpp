// The SIMD backends of a build for another CPU than x86-64 and 64-bit ARM: none.
#include "kernels/backend_list.h"

namespace tq::kernels {

std::span<const BackendEntry> simd_backends() noexcept { return {}; }

}  // namespace tq::kernels
