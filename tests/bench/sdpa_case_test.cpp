// LibTorch's attention as the bench calls it, on the CPU: the same operator on the same shapes.

#include "bench/cuda/sdpa_case.h"

#include <ATen/Context.h>

#include <catch2/catch.hpp>
#include <functional>
#include <memory>

#include "models/device/torch_device.h"

namespace tq::bench {
namespace {

class Cpu final : public models::TorchDevice {
 public:
  c10::Device device() const noexcept override { return c10::Device(c10::kCPU); }
  kernels::DeviceStream stream() const noexcept override { return nullptr; }
  void make_current() const override {}
  Result<std::unique_ptr<models::Recorded>> record(
      const std::function<Result<void>()>& /*put*/) const override {
    return Error{Code::kUnsupported, "nothing is recorded here", ""};
  }
};

}  // namespace

TEST_CASE(
    "sdpa case: flash attention takes a decode with grouped heads, and LibTorch stays as it was") {
  for (const int group : {1, 3}) {
    const Cpu cpu;
    const auto cases = make_sdpa_cases({.head_dim = 64,
                                        .n_kv_heads = 2,
                                        .group = group,
                                        .n_seqs = 3,
                                        .context = 100,
                                        .n_layers = 2},
                                       cpu);
    REQUIRE(cases.ok());
    REQUIRE(cases->size() == 1);  // the CPU has no cuDNN
    CHECK(cases->front()->kernel() == "flash");
    CHECK(cases->front()->stream() == nullptr);
    CHECK(cases->front()->attend().ok());
    CHECK(at::globalContext().userEnabledCuDNNSDP());
    CHECK(at::globalContext().userEnabledMemEfficientSDP());
  }
}

TEST_CASE("sdpa case: what LibTorch refuses is an error, not an exception") {
  const Cpu cpu;
  // Keys of 2^50 bytes, which no address space has; queries of 1 MiB.
  const auto refused = make_sdpa_cases({.group = 1, .n_seqs = 512, .context = 1 << 30}, cpu);
  REQUIRE(!refused.ok());
  CHECK(refused.error().where == "LibTorch's attention");
}

}  // namespace tq::bench
