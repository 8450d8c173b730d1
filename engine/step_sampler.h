#pragma once
// StepSampler: from a step's logits, wherever they are, to a token of each row. Owns the sampler.
// Engine thread only.

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "config/result.h"
#include "engine/device_logits.h"
#include "engine/sampler.h"
#include "engine/step_runner.h"

namespace tq::engine {

class StepSampler {
 public:
  struct Widths {
    int32_t row = 0;       // of the model's vocabulary
    int32_t n_tokens = 0;  // the first of it, which may be drawn
  };
  // What became of row i; its `top` is valid during the call.
  using Take = std::function<void(size_t i, const Result<Sampled>& sampled)>;

  // Calls `take` for each row in order. An Error fails all of them.
  Result<void> sample(const StepLogits& logits,
                      std::span<const RowContext> rows,
                      const Widths& widths,
                      const Take& take);

 private:
  Result<void> sample_on_device(DeviceLogits& logits,
                                std::span<const RowContext> rows,
                                int32_t n_tokens,
                                const Take& take);

  Sampler sampler_;
  RowQuestions questions_;
  std::vector<RowPlace> places_;
};

}  // namespace tq::engine
