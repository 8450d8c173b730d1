#pragma once
// The decoder on a device: matrix products by LibTorch, the rest by our kernels, all on one stream.
// Families are those of models/decoder.h.

#include <cstdint>
#include <memory>
#include <span>

#include "kernels/device_attention.h"
#include "kernels/device_layers.h"
#include "models/decoder.h"
#include "models/device/torch_device.h"

namespace tq::models {

class DeviceDecoder : public Decoder {
 public:
  // As forward(), but the logits stay on the device, [logit_rows.size(), vocab_size], until the
  // next call, and are not waited for. The caller waits by the attention's wait(), where what it
  // reports late (a row that could not be sealed) is told, before the next call.
  virtual Result<std::span<float>> forward_on_device(const DecoderInput& input) = 0;
};

// All outlive the decoder.
struct DeviceKernels {
  kernels::DeviceAttention* attention = nullptr;
  kernels::DeviceLayers* layers = nullptr;
  const TorchDevice* device = nullptr;
};

struct DeviceDecoderOptions {
  ComputeType dtype = ComputeType::kAuto;
  float key_bias_min = DecoderOptions{}.key_bias_min;  // as there
  int64_t positions_max = 0;                           // as there
  int64_t rows_max = 0;            // of a step: room is made at load; 0: as steps ask for it
  int32_t recorded_rows_max = 64;  // steps of so many rows are recorded (step_graphs.h); 0: none
};

// Errors as make_decoder()'s.
Result<std::unique_ptr<DeviceDecoder>> make_device_decoder(const WeightSource& source,
                                                           const DeviceKernels& kernels,
                                                           const DeviceDecoderOptions& options);

// Bytes of activations beside the weights, of steps of so many rows and logits.
uint64_t device_workspace_bytes(const ModelSpec& spec,
                                ComputeType dtype,
                                int64_t n_tokens,
                                int64_t n_logits);

}  // namespace tq::models
