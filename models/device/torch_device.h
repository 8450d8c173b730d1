#pragma once
// TorchDevice: a device as LibTorch sees it: where tensors lie, and the stream that its operators
// and our kernels share. Engine thread, but for the making.

#include <c10/core/Device.h>

#include <functional>
#include <memory>

#include "config/result.h"
#include "kernels/device_layers.h"
#include "models/device/find_device.h"

namespace tq::models {

// Work that was put on the stream once, to be put there again by one call.
class Recorded {
 public:
  virtual ~Recorded() = default;

  virtual Result<void> play() = 0;
};

class TorchDevice {
 public:
  virtual ~TorchDevice() = default;

  virtual c10::Device device() const noexcept = 0;
  virtual kernels::DeviceStream stream() const noexcept = 0;
  // From now on LibTorch's operators of the calling thread go to stream().
  virtual void make_current() const = 0;
  // What `put` puts on stream(), which is current, without running it. `put` was run before, since
  // libraries set themselves up at first use; it waits for nothing, and the memory that it works on
  // stays where it is for as long as the recording does. An Error leaves the stream as it was.
  virtual Result<std::unique_ptr<Recorded>> record(
      const std::function<Result<void>()>& put) const = 0;
};

// Where LibTorch was built without CUDA, or finds no device, an Error that says so.
Result<DeviceFacts> cuda_device_facts();
Result<std::unique_ptr<TorchDevice>> make_cuda_device();

}  // namespace tq::models
