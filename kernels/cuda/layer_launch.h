#pragma once
// The kernels behind DeviceLayers (layers.cu), put on a stream. The calls are device_layers.h's own
// structs; their arguments have been checked (cuda_layers.cpp). No CUDA header is needed here.
// Engine thread only.

#include "config/result.h"
#include "kernels/cuda/launch.h"
#include "kernels/device_layers.h"

namespace tq::kernels::cuda {

inline constexpr int kLayerRowsMax = kDeviceRowsMax;  // a grid's second dimension
inline constexpr int kLayerSizeMax = 1 << 20;
inline constexpr int kLayerHeadsMax = 1024;
inline constexpr int kVectorBytes = 16;            // how rows of vectors are aligned
inline constexpr int kSizeStep = kDeviceSizeStep;  // 16 bytes of 16 bits

// A row that is normed lies in the registers of one block.
inline constexpr int kNormThreadsMax = 512;
inline constexpr int kNormPacksMax = 8;  // of a thread
inline constexpr int kNormPack = 4;      // floats
inline constexpr int kNormSizeMax = kNormThreadsMax * kNormPacksMax * kNormPack;
static_assert(kNormSizeMax == kDeviceNormSizeMax);

Result<void> launch_embed(const EmbedCall& call, Stream stream);
Result<void> launch_norm(const DeviceNormCall& call, Stream stream);
Result<void> launch_swiglu(const DeviceSwigluCall& call, Stream stream);
Result<void> launch_heads(const HeadsCall& call, Stream stream);

}  // namespace tq::kernels::cuda
