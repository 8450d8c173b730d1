#pragma once
// TorchRunner: the StepRunner that serves. Owns the attention backend, the KV arena and the
// decoder; turns a StepPlan into one PagedBatch and one forward pass. Built on the main thread, run
// on the engine's. No LibTorch type appears here.

#include <memory>
#include <span>
#include <vector>

#include "config/engine_config.h"
#include "config/result.h"
#include "engine/memory_plan.h"
#include "engine/step_runner.h"
#include "kernels/cpu/thread_pool.h"
#include "kernels/kv_arena.h"
#include "kernels/paged_attention.h"
#include "models/decoder.h"
#include "models/device/find_device.h"
#include "models/weights/weight_source.h"

namespace tq::engine {

class TorchRunner final : public StepRunner {
 public:
  // The store's layout for this model, before any memory is spent: what plan_memory() works from.
  static Result<quant::BlockLayout> plan_layout(const EngineConfig& config,
                                                const models::ModelSpec& spec);
  // The memory that plan_memory() may spend, where the model would run. Bytes of the weights are
  // those once loaded, within a few per cent. host_bytes: of ordinary memory, available. Errors:
  // what the device cannot run.
  static Result<MemoryFacts> memory_facts(const EngineConfig& config,
                                          const models::WeightSource& source,
                                          const models::DeviceFacts& device,
                                          uint64_t host_bytes);

  // Loads the weights, then allocates the pools of the plan.
  static Result<std::unique_ptr<TorchRunner>> create(const EngineConfig& config,
                                                     const models::WeightSource& source,
                                                     const models::DeviceFacts& device,
                                                     const MemoryPlan& memory);

  ~TorchRunner() override;

  int vocab_size() const noexcept override;
  const quant::BlockLayout& layout() const noexcept override { return attention_->layout(); }
  kernels::PoolSizes pools() const noexcept override { return arena_.sizes(); }
  kernels::PoolSizes host_pools() const noexcept override;
  std::string_view backend() const noexcept { return attention_->name(); }
  uint64_t weight_bytes() const noexcept { return decoder_->weight_bytes(); }

  Result<StepLogits> run(const StepPlan& plan, const Meanwhile& meanwhile) override;

 private:
  // What the attention backend and the decoder work with, and outlives them.
  struct Machine;

  TorchRunner(std::unique_ptr<Machine> machine,
              std::unique_ptr<kernels::PagedAttention> attention,
              kernels::KvArena arena,
              std::unique_ptr<models::Decoder> decoder);
  static Result<std::unique_ptr<TorchRunner>> create_on_cpu(const EngineConfig& config,
                                                            const models::WeightSource& source,
                                                            kernels::PoolSizes pools);
  static Result<std::unique_ptr<TorchRunner>> create_on_cuda(const EngineConfig& config,
                                                             const models::WeightSource& source,
                                                             const MemoryPlan& memory);
  Result<void> swap(const StepPlan& plan);
  Result<StepLogits> run_checked(const StepPlan& plan, const Meanwhile& meanwhile);
  void fill_batch(const StepPlan& plan);

  std::unique_ptr<Machine> machine_;
  std::unique_ptr<kernels::PagedAttention> attention_;
  kernels::KvArena arena_;
  std::unique_ptr<models::Decoder> decoder_;
  // Workspace of one step, kept so that its memory is.
  kernels::PagedBatch batch_;
  std::vector<TokenId> tokens_;
  std::vector<int32_t> positions_;
  std::vector<int32_t> logit_rows_;
};

}  // namespace tq::engine
