#pragma once
// Decoder: the layers of one model, weights loaded, on one device. Built by models/registry.h.
// Engine thread only. The only header of models/ that the engine's runner needs; no LibTorch type
// appears in it.

#include <cstdint>
#include <memory>
#include <span>

#include "config/engine_config.h"
#include "config/ids.h"
#include "config/result.h"
#include "kernels/cpu/thread_pool.h"
#include "kernels/layer_kernels.h"
#include "kernels/paged_attention.h"
#include "models/model_spec.h"
#include "models/weights/weight_source.h"

namespace tq::models {

struct DecoderInput {
  std::span<const TokenId> tokens;      // [n_tokens], rows of the step
  std::span<const int32_t> positions;   // [n_tokens]
  std::span<const int32_t> logit_rows;  // rows whose logits are wanted, ascending
  const kernels::AttnPlan* plan = nullptr;
  kernels::KvArena* arena = nullptr;
};

class Decoder {
 public:
  virtual ~Decoder() = default;

  virtual const ModelSpec& spec() const noexcept = 0;
  virtual uint64_t weight_bytes() const noexcept = 0;  // resident, after loading

  // logits [logit_rows.size(), vocab_size], fp32, owned by the decoder until the next call.
  virtual Result<std::span<float>> forward(const DecoderInput& input) = 0;
};

struct DecoderOptions {
  ComputeType dtype = ComputeType::kAuto;
  kernels::LayerKernels layer{};             // see find_layer_kernels()
  kernels::cpu::ThreadPool* pool = nullptr;  // for all but attention; outlives the decoder
  // A layer whose keys have a bias of at least this magnitude keeps it out of the store
  // (kernels/key_bias.h): codes have the precision of their largest part. Qwen 2 and 2.5 reach
  // hundreds in some layers; below, the exact share of the scores costs more than it is worth.
  float key_bias_min = 10.0f;
  int64_t positions_max = 0;  // that will be asked for; 0: the model's context
};

// attention outlives the decoder. An unknown family, or a tensor that is missing or has the wrong
// shape, is an error that names it.
Result<std::unique_ptr<Decoder>> make_decoder(const WeightSource& source,
                                              kernels::PagedAttention& attention,
                                              const DecoderOptions& options);

}  // namespace tq::models
