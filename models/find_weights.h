#pragma once
// Tensors of a model file by name, checked for their shape. An Error names the tensor. Any thread.

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "config/result.h"
#include "models/weights/weight_source.h"

namespace tq::models {

// "<stem>.weight" of each: matrices [*, n_inputs].
Result<std::vector<WeightView>> find_matrices(const WeightSource& source,
                                              const std::vector<std::string>& stems,
                                              int64_t n_inputs);

// `size` elements of any type, decoded.
Result<std::vector<float>> load_vector(const WeightSource& source,
                                       const std::string& name,
                                       int64_t size);

// "<stem>.bias" of each, one after the other: as long as the matrices have rows.
Result<std::vector<float>> load_biases(const WeightSource& source,
                                       const std::vector<std::string>& stems,
                                       const std::vector<WeightView>& matrices);

// The largest magnitude; 0 of none. Of the keys' biases it is what key_bias_min is compared with.
float largest_magnitude(std::span<const float> values);

}  // namespace tq::models
