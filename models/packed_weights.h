#pragma once
// Matrices of a model file as PackedLinear: which type they take in memory, and the packing. No
// LibTorch. Pure functions; any thread.

#include <cstdint>
#include <span>

#include "config/engine_config.h"
#include "config/result.h"
#include "kernels/linear.h"
#include "models/weights/weight_source.h"

namespace tq::models {

// The type of matrices that are stacked. kAuto: the file's own codes, where all have the same type
// and the kernels know it; else bf16.
kernels::PackedType packed_type(std::span<const WeightView> stack, ComputeType dtype) noexcept;

// Matrices with the same number of columns, stacked in this order. Codes, scales and minima go in
// as they are in the file; other weights are decoded first.
Result<kernels::PackedLinear> pack(std::span<const WeightView> stack, ComputeType dtype);

// Bytes of all weights of a model once packed; each matrix is taken to be stacked with its like.
uint64_t packed_bytes(const WeightSource& source, ComputeType dtype);

}  // namespace tq::models
