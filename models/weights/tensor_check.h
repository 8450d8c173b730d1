#pragma once
// What a ModelSpec promises: sane numbers, and the tensors that follow from them. Shared by GGUF
// and Hugging Face sources, so that the decoder may index without checks. Pure functions; any
// thread.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "config/result.h"
#include "models/weights/weight_source.h"

namespace tq::models {

struct ExpectedTensor {
  std::string name;
  std::vector<int64_t> shape;
};

// The key or file that numbers came from, for messages: `where` of every error.
Result<void> check_spec(const ModelSpec& spec, const std::string& where);

// Every tensor that a decoder of this spec reads, in file order. `spec` has passed check_spec().
std::vector<ExpectedTensor> expected_tensors(const ModelSpec& spec);

// Each expected tensor exists with its shape, else kCorrupt naming the tensor, the expected and the
// found shape; and nothing else is there, else kUnsupported: a tensor that the decoder would skip
// (a bias, an expert) would change the output silently.
Result<void> check_tensors(const WeightSource& source);

}  // namespace tq::models
