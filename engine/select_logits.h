#pragma once
// SelectLogits: DeviceLogits on a device's DeviceSelect: where a step's logits lie, and whether it
// has been waited for. Owned by a runner; engine thread only.

#include <cstdint>
#include <functional>
#include <span>

#include "config/result.h"
#include "engine/device_logits.h"
#include "kernels/device_select.h"

namespace tq::engine {

class SelectLogits final : public DeviceLogits {
 public:
  using Wait = std::function<Result<void>()>;

  // `select` outlives this. wait(): until the device has done all that it was given; tells what
  // failed.
  SelectLogits(kernels::DeviceSelect& select, Wait wait);

  // A step is on its way whose logits, [n, row_size], will lie there.
  void begin(std::span<float> logits, int32_t row_size);
  // Waits for the step, if nobody has.
  Result<void> finish();

  int32_t n_rows() const noexcept override;
  Result<const kernels::DeviceSelect*> select(const RowQuestions& questions,
                                              int32_t n_tokens) override;
  Result<std::span<float>> fetch(int32_t row, int32_t n_tokens) override;

 private:
  kernels::DeviceSelect& select_;
  Wait wait_;
  std::span<float> logits_;
  int32_t row_size_ = 1;
  bool is_running_ = false;
};

}  // namespace tq::engine
