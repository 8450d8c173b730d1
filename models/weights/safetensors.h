#pragma once
// The header of a safetensors file, checked in full: names, types, shapes and byte ranges. Views
// into the caller's bytes. Pure function; any thread.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/result.h"
#include "models/weights/weight_source.h"

namespace tq::models {

// Only F32, F16 and BF16 tensors; any other element type is kUnsupported naming the tensor. Ranges
// must lie in the file, match the shape and cover the data without gap or overlap, as the format
// demands. `file` must outlive the views; `path` is for messages.
Result<std::vector<WeightView>> parse_safetensors(std::span<const std::byte> file,
                                                  const std::string& path);

}  // namespace tq::models
