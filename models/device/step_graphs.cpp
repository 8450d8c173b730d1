#include "models/device/step_graphs.h"

#include <bit>

#include "config/log.h"

namespace tq::models {

StepGraphs::StepGraphs(const TorchDevice& device, int32_t rows_max)
    : device_(&device),
      rows_max_(static_cast<int32_t>(std::bit_floor(static_cast<uint32_t>(rows_max)))) {}

int32_t StepGraphs::padded(int32_t n_rows) const noexcept {
  const auto power = static_cast<int32_t>(std::bit_ceil(static_cast<uint32_t>(n_rows)));
  return power <= rows_max_ ? power : n_rows;
}

Result<void> StepGraphs::run(size_t part,
                             int32_t n_rows,
                             const std::function<Result<void>()>& put) {
  if (n_rows > rows_max_) return put();
  std::unique_ptr<Recorded>& recorded = recorded_[{n_rows, part}];
  if (recorded) return recorded->play();
  TQ_TRY(put());
  auto made = device_->record(put);
  if (made) {
    recorded = std::move(*made);
  } else {  // slower, and right
    log().warn("steps are not recorded: {}", made.error().describe());
    rows_max_ = 0;
  }
  return {};
}

}  // namespace tq::models
