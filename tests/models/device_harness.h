#pragma once
// Decoders on a device for tests: the CUDA backend's own source on the CPU, with LibTorch's
// operators on the CPU, and a real device where there is one. Test code only; one thread.

#include <memory>
#include <string>
#include <vector>

#include "models/device/device_decoder.h"
#include "tests/models/harness.h"

namespace tq::models::test {

// What became of the steps of an emulated device.
struct Recordings {
  int n_made = 0;
  int n_played = 0;
  bool fail = false;  // record() says that it cannot
};

struct DeviceOptions {
  bool real = false;
  ComputeType dtype = ComputeType::kF32;
  StoreOptions store{};
  int32_t recorded_rows_max = DeviceDecoderOptions{}.recorded_rows_max;
  Recordings* recordings = nullptr;
};
MachineMaker on_device(const DeviceOptions& options);

// Emulated always; a real device where find_device() finds one. TQ_REQUIRE_CUDA=1: it must.
std::vector<bool> devices();

}  // namespace tq::models::test
