#pragma once
// StepGraphs: the parts of a step as recordings. A decode step is some ten launches a layer, each
// of which costs the host more than a small batch costs the device; a recording is one. What
// attention does depends on the step's sequences, so steps are cut there, and a part depends on its
// number of rows alone: recordings exist for powers of two, and steps are padded. Engine thread.

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <utility>

#include "models/device/torch_device.h"

namespace tq::models {

class StepGraphs {
 public:
  // Steps of more than rows_max rows, brought down to a power of two, run without. `device`
  // outlives this.
  StepGraphs(const TorchDevice& device, int32_t rows_max);

  // What a step of so many rows is padded to.
  int32_t padded(int32_t n_rows) const noexcept;
  // Puts a part of a step of so many rows, padded, on the stream; records it the first time.
  Result<void> run(size_t part, int32_t n_rows, const std::function<Result<void>()>& put);
  // Memory that parts work on has moved.
  void clear() { recorded_.clear(); }

 private:
  const TorchDevice* device_;
  int32_t rows_max_;
  std::map<std::pair<int32_t, size_t>, std::unique_ptr<Recorded>> recorded_;
};

}  // namespace tq::models
