#pragma once
// Matrices of a model file as PackedLinears: which type they take in memory, and the packing. No
// LibTorch. Pure functions; any thread.

#include <cstdint>
#include <span>
#include <vector>

#include "config/engine_config.h"
#include "config/result.h"
#include "kernels/linear.h"
#include "models/weights/weight_source.h"

namespace tq::models {

// What a matrix of the file becomes. kAuto: codes stay codes, the rest is bf16.
kernels::PackedType packed_type(WeightType type, ComputeType dtype) noexcept;

// Matrices with the same number of columns, in this order; neighbours of one packed type are one.
// Codes, scales and minima go in as they are in the file, but for those of K-quants: products of
// two numbers there, rounded to fp16 (a relative 2^-12) here. Floats are decoded first.
Result<std::vector<kernels::PackedLinear>> pack(std::span<const WeightView> stack,
                                                ComputeType dtype);

// Bytes of all weights of a model once packed; each matrix is taken to be stacked with its like.
uint64_t packed_bytes(const WeightSource& source, ComputeType dtype);

}  // namespace tq::models
