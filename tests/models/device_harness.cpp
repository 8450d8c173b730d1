#include "tests/models/device_harness.h"

#include <c10/core/Device.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <functional>
#include <utility>

#include "kernels/device_attention.h"
#include "kernels/device_layers.h"
#include "models/device/find_device.h"
#include "models/device/torch_device.h"
#include "tests/kernels/cuda_emulated.h"

namespace tq::models::test {
namespace {

class EmulatedRecording final : public Recorded {
 public:
  EmulatedRecording(std::function<Result<void>()> put, Recordings* count)
      : put_(std::move(put)), count_(count) {}
  Result<void> play() override {
    if (count_ != nullptr) ++count_->n_played;
    return put_();
  }

 private:
  std::function<Result<void>()> put_;
  Recordings* count_;
};

class EmulatedDevice final : public TorchDevice {
 public:
  explicit EmulatedDevice(Recordings* count) : count_(count) {}

  c10::Device device() const noexcept override { return c10::Device(c10::kCPU); }
  kernels::DeviceStream stream() const noexcept override { return nullptr; }
  void make_current() const override {}
  Result<std::unique_ptr<Recorded>> record(
      const std::function<Result<void>()>& put) const override {
    if (count_ != nullptr && count_->fail) return Error{Code::kInternal, "not today", ""};
    if (count_ != nullptr) ++count_->n_made;
    return std::unique_ptr<Recorded>(std::make_unique<EmulatedRecording>(put, count_));
  }

 private:
  Recordings* count_;
};

struct DeviceParts {
  std::unique_ptr<TorchDevice> device;
  std::unique_ptr<kernels::DeviceLayers> layers;
};

}  // namespace

MachineMaker on_device(const DeviceOptions& options) {
  return [=](const WeightSource& source) {
    auto parts = std::make_shared<DeviceParts>();
    std::unique_ptr<kernels::DeviceAttention> attention;
    const kernels::AttentionOptions of_attention = attention_options(source.spec(), options.store);
    if (options.real) {
      parts->device = std::move(make_cuda_device()).value();
      const kernels::DeviceStream stream = parts->device->stream();
      attention = std::move(kernels::make_device_backend("cuda", of_attention, stream)).value();
      parts->layers = std::move(kernels::make_device_layers("cuda", stream)).value();
    } else {
      parts->device = std::make_unique<EmulatedDevice>(options.recordings);
      attention = kernels::test::make_emulated_attention(of_attention);
      parts->layers = kernels::test::make_emulated_layers();
    }
    auto decoder = make_device_decoder(source,
                                       {.attention = attention.get(),
                                        .layers = parts->layers.get(),
                                        .device = parts->device.get()},
                                       {.dtype = options.dtype,
                                        .key_bias_min = options.store.key_bias_min,
                                        .recorded_rows_max = options.recorded_rows_max});
    REQUIRE(decoder.ok());
    return Machine{std::move(parts), std::move(attention), std::move(*decoder)};
  };
}

std::vector<bool> devices() {
  const bool found = find_device("cuda").ok();
  const char* const required = std::getenv("TQ_REQUIRE_CUDA");
  if (required != nullptr && std::string(required) == "1") REQUIRE(found);
  return found ? std::vector<bool>{false, true} : std::vector<bool>{false};
}

}  // namespace tq::models::test
