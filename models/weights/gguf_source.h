#pragma once
// A GGUF file as a WeightSource: ggml's tensor names and metadata keys turned into Hugging Face's
// names and a ModelSpec. Immutable after opening; any thread.

#include <cstddef>
#include <memory>
#include <span>
#include <string>

#include "config/result.h"
#include "models/weights/gguf.h"
#include "models/weights/weight_source.h"

namespace tq::models {

// Maps the file, checks it whole (check_spec(), check_tensors()) and keeps the mapping.
Result<std::unique_ptr<WeightSource>> open_gguf(const std::string& path);

// The same over bytes that outlive the source. path: for messages and the model's fallback name.
Result<std::unique_ptr<WeightSource>> open_gguf_bytes(std::span<const std::byte> bytes,
                                                      const std::string& path);

// The spec of a parsed file, checked; the tensors are looked at only for what metadata does not say
// (biases, tied embeddings, rope_freqs).
Result<ModelSpec> gguf_spec(const GgufFile& file);

// "blk.3.attn_q.weight" -> "model.layers.3.self_attn.q_proj.weight"; a name without a counterpart
// is returned as it is.
std::string hugging_face_name(std::string_view ggml_name);

}  // namespace tq::models
