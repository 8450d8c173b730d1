#pragma once
// A Hugging Face folder as a WeightSource: config.json, model.safetensors or its shards named by
// model.safetensors.index.json, and the chat template. Immutable after opening; any thread.

#include <memory>
#include <string>

#include "config/result.h"
#include "models/weights/weight_source.h"

namespace tq::models {

// Maps every shard and checks all of it (check_spec(), check_tensors()). Files are looked for by
// plain names in the folder itself; a name with a path in it is kCorrupt.
Result<std::unique_ptr<WeightSource>> open_hf_folder(const std::string& path);

}  // namespace tq::models
