#pragma once
// Llama: the decoder of the Llama family (Llama 1-3, Mistral, SmolLM) and of those that differ from
// it by biases on q, k, v (Qwen 2) or by norms on q and k heads (Qwen 3): ModelSpec says which.

#include <memory>

#include "models/decoder.h"

namespace tq::models {

Result<std::unique_ptr<Decoder>> make_llama(const WeightSource& source,
                                            kernels::PagedAttention& attention,
                                            const DecoderOptions& options);

}  // namespace tq::models
