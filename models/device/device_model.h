#pragma once
// The weights of a decoder in a device's memory. Engine thread.

#include <memory>
#include <optional>
#include <vector>

#include "kernels/key_bias.h"
#include "models/device/device_decoder.h"
#include "models/device/device_weights.h"
#include "models/model_spec.h"
#include "models/rope.h"

namespace tq::models {

struct DeviceLayer {
  at::Tensor attention_norm;
  DeviceLinear qkv;                            // q, k and v stacked
  at::Tensor bias;                             // of qkv; undefined: none
  std::unique_ptr<kernels::KeyBias> key_bias;  // the keys' part, where the store is kept without it
  at::Tensor q_norm;                           // undefined: heads are not normed
  at::Tensor k_norm;
  DeviceLinear out;
  at::Tensor mlp_norm;
  DeviceLinear gate_up;  // gate and up stacked
  DeviceLinear down;
};

struct DeviceModel {
  // Errors: as make_decoder()'s, and sizes that the kernels do not take.
  static Result<DeviceModel> load(const WeightSource& source,
                                  const DeviceKernels& kernels,
                                  const DeviceDecoderOptions& options);

  ModelSpec spec;
  Rope rope;
  bool interleaved = false;
  std::unique_ptr<kernels::TileTurns> turns;  // where a layer keeps its key bias out
  DeviceLinear embedding;                     // [vocab_size, hidden]
  std::vector<DeviceLayer> layers;
  at::Tensor final_norm;
  std::optional<DeviceLinear> head;  // absent: the embedding is tied
  at::Tensor inverse_frequencies;
  uint64_t bytes = 0;  // of all of it
};

}  // namespace tq::models
