// Catch2's main for tests of a device: without one they are skipped, or fail under
// TQ_REQUIRE_CUDA=1.
#define CATCH_CONFIG_RUNNER
#include <catch2/catch.hpp>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "kernels/cuda/device.h"

int main(int argc, char** argv) {
  constexpr int kSkipped = 77;
  const std::string missing = tq::kernels::cuda::missing_device();
  if (!missing.empty()) {
    const char* const required = std::getenv("TQ_REQUIRE_CUDA");
    const bool is_required = required != nullptr && std::string_view(required) == "1";
    std::printf("%s: %s\n", is_required ? "FAILED, TQ_REQUIRE_CUDA=1" : "skipped", missing.c_str());
    return is_required ? 1 : kSkipped;
  }
  return Catch::Session().run(argc, argv);
}
