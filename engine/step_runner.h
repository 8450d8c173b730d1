#pragma once
// StepRunner: runs one step on a model. Owned by the engine, called on its thread only;
// implementations own the model, the KV arena and all workspace. torch_runner.h is the real one;
// tests/support/fake_runner.h computes token = hash(prompt, position) and checks every block it is
// shown.

#include <cstdint>
#include <functional>
#include <span>

#include "config/result.h"
#include "engine/device_logits.h"
#include "engine/step.h"
#include "kernels/kv_arena.h"
#include "quant/block_layout.h"

namespace tq::engine {

// Of the items with sample, in their order; raw, fp32. Valid until the next run().
struct StepLogits {
  std::span<float> values{};          // [n, vocab_size]; the sampler may write into it
  DeviceLogits* on_device = nullptr;  // instead, where they stay there; the step may still run
};

class StepRunner {
 public:
  virtual ~StepRunner() = default;

  virtual int vocab_size() const noexcept = 0;
  virtual const quant::BlockLayout& layout() const noexcept = 0;
  virtual kernels::PoolSizes pools() const noexcept = 0;
  // Blocks of ordinary memory, for those of preempted sequences; none where all are ordinary.
  virtual kernels::PoolSizes host_pools() const noexcept = 0;

  // The caller's own work beside a step.
  using Meanwhile = std::function<void()>;

  // An Error fails the whole step (every item of it); kUnavailable marks the runner as unusable.
  // meanwhile() is called once the step is on its way to a device, or first where it is computed
  // in this call; not if the step fails before.
  virtual Result<StepLogits> run(const StepPlan& plan, const Meanwhile& meanwhile) = 0;
};

}  // namespace tq::engine
