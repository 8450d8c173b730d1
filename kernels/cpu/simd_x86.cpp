// The SIMD backends of an x86-64 build, with what this machine can run.
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>

#include "kernels/backend_list.h"
#include "kernels/cpu/avx2.h"
#include "kernels/cpu/avx512.h"
#include "kernels/cpu/cpu_backend.h"

namespace tq::kernels {
namespace {

Result<std::unique_ptr<PagedAttention>> make_avx2(const AttentionOptions& options) {
  return cpu::make_cpu_backend(cpu::avx2::kernels(), options);
}

Result<std::unique_ptr<PagedAttention>> make_avx512(const AttentionOptions& options) {
  return cpu::make_cpu_backend(cpu::avx512::kernels(), options);
}

// The compiler's run-time check looks at CPUID and at whether the system saves the wide registers.
bool has_avx2() {
  unsigned int eax = 0, ebx = 0, ecx = 0, edx = 0;  // older clang knows no "f16c"
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
         __get_cpuid(1, &eax, &ebx, &ecx, &edx) != 0 && (ecx & bit_F16C) != 0;
}

bool has_avx512() {
  return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni") &&
         __builtin_cpu_supports("avx512vbmi");
}

// AMX's tiles; Linux lets a process use the 8 KiB of registers once it has asked.
bool has_amx() {
  constexpr unsigned int kNeeded = 1u << 22 | 1u << 24 | 1u << 25;  // bf16, tile, int8
  unsigned int eax = 0, ebx = 0, ecx = 0, edx = 0;
  if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) == 0) return false;
  if ((edx & kNeeded) != kNeeded) return false;
  constexpr int kRequestPermission = 0x1023;  // ARCH_REQ_XCOMP_PERM
  constexpr int kTileData = 18;               // XFEATURE_XTILEDATA
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

}  // namespace

std::span<const BackendEntry> simd_backends() noexcept {
  static const std::array<BackendEntry, 2> entries{
      BackendEntry{
          .name = "avx512",
          .missing = has_avx512() ? "" : "this CPU has no AVX-512 F, BW, VL, VNNI and VBMI",
          .make = make_avx512,
          .layer =
              has_avx512() && has_amx() ? avx512::tiled_layer_kernels() : avx512::layer_kernels()},
      BackendEntry{.name = "avx2",
                   .missing = has_avx2() ? "" : "this CPU has no AVX2, FMA and F16C",
                   .make = make_avx2,
                   .layer = avx2::layer_kernels()}};
  return entries;
}

}  // namespace tq::kernels
