#pragma once
// The explicit list behind registry.cpp: one entry per backend that the source tree knows, whether
// or not this build or machine can run it. Internal to kernels/; any thread.

#include <memory>
#include <span>
#include <string_view>

#include "config/result.h"
#include "kernels/device_attention.h"
#include "kernels/device_layers.h"
#include "kernels/device_select.h"
#include "kernels/layer_kernels.h"
#include "kernels/paged_attention.h"

namespace tq::kernels {

struct BackendEntry {
  std::string_view name;
  std::string_view missing;  // why it cannot run here; empty where it can
  // One of the two: where spans lie in ordinary memory, or on a device.
  Result<std::unique_ptr<PagedAttention>> (*make)(const AttentionOptions& options) = nullptr;
  Result<std::unique_ptr<DeviceAttention>> (*make_on_device)(const AttentionOptions& options,
                                                             DeviceStream stream) = nullptr;
  // Beside make_on_device.
  std::unique_ptr<DeviceLayers> (*make_layers)(DeviceStream stream) = nullptr;
  std::unique_ptr<DeviceSelect> (*make_select)(DeviceStream stream) = nullptr;
  LayerKernels layer;  // all null where the backend is no CPU's
};

// Each from its own translation unit, chosen by CMake.
BackendEntry scalar_backend() noexcept;
std::span<const BackendEntry> simd_backends() noexcept;  // of this kind of CPU, best first
BackendEntry cuda_backend() noexcept;

}  // namespace tq::kernels
