#pragma once
// A DeviceAttention seen from ordinary memory, so that tests of the seam run on a device unchanged:
// each call takes the store and its rows there and back. Slow. One thread.

#include <memory>

#include "kernels/device_attention.h"

namespace tq::kernels::test {

std::unique_ptr<PagedAttention> mirror(std::unique_ptr<DeviceAttention> device);

}  // namespace tq::kernels::test
