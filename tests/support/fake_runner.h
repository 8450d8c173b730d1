#pragma once
// FakeRunner: a StepRunner without a model. The logits of a position are a pure function of all
// tokens up to it, so every output has an oracle (fake_next()); and it keeps a model of the KV
// store, so that each run() checks that every item is shown exactly the blocks that its positions
// demand, with the right content, hot and sealed as sealed_until() says, and that nothing is
// aliased while it is written. A violation is recorded and fails the step. Engine thread only,
// except violations() after the engine has stopped and the atomics in FakeControls.

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "config/engine_config.h"
#include "engine/step_runner.h"
#include "tests/support/loop_logits.h"

namespace tq::test {

// Hash of a token sequence; of a longer one by the hash of its prefix.
inline constexpr uint64_t kEmptyChain = 0x7415b4c2d0a1e3f7ull;
uint64_t extend_chain(uint64_t chain, TokenId token) noexcept;
uint64_t chain_of(std::span<const TokenId> tokens) noexcept;

// The logits after a sequence with this hash: noise in [0, 1) and `peak` more for one token.
void fake_logits(uint64_t chain, float peak, std::span<float> logits) noexcept;
// The token with the peak.
TokenId fake_next(uint64_t chain, int vocab_size) noexcept;

// Shared with a test while an engine owns the runner.
struct FakeControls {
  std::atomic<int> step_delay_us{0};      // each run() takes at least so long
  std::atomic<int64_t> fail_at_step{-1};  // that run() returns fail_code
  std::atomic<Code> fail_code{Code::kInternal};
  std::atomic<int> nan_for_token{-1};  // rows whose last token is this one become NaN
  std::atomic<bool> on_device{false};  // logits are given as those of a device
  std::atomic<int64_t> n_steps{0};
  std::atomic<int64_t> n_violations{0};
  // On the engine's thread; set before the first step. A step begins; it is over, where logits are
  // those of a device.
  std::function<void()> on_begin = [] {};
  std::function<void()> on_end = [] {};
};

struct FakeRunnerOptions {
  KvConfig kv;
  kernels::PoolSizes pools;
  kernels::PoolSizes host_pools{};
  int vocab_size = 260;
  float peak =
      20.0f;  // so far above the noise that sampling at temperature 1 follows it almost surely
  std::shared_ptr<FakeControls> controls = std::make_shared<FakeControls>();
};

class FakeRunner final : public engine::StepRunner {
 public:
  explicit FakeRunner(FakeRunnerOptions options);

  int vocab_size() const noexcept override { return options_.vocab_size; }
  const quant::BlockLayout& layout() const noexcept override { return layout_; }
  kernels::PoolSizes pools() const noexcept override { return options_.pools; }
  kernels::PoolSizes host_pools() const noexcept override { return options_.host_pools; }
  Result<engine::StepLogits> run(const engine::StepPlan& plan, const Meanwhile& meanwhile) override;

  const std::vector<std::string>& violations() const noexcept { return violations_; }

 private:
  struct Slot {
    TokenId token = -1;
    int32_t position = -1;  // -1: never written
    uint64_t chain = 0;     // of all tokens up to this one
  };
  using Store = std::vector<Slot>;  // [blocks, block_tokens]

  std::span<Slot> block(Store& store, BlockId id);
  void violate(std::string what);
  void swap(std::span<const kernels::BlockCopy> copies, Store& from, Store& to);
  void seal(const engine::SealOp& op, const engine::StepPlan& plan);
  void check_aliasing(const engine::StepPlan& plan);
  void check_view(const engine::StepItem& item);
  uint64_t append(const engine::StepItem& item);
  Slot* slot_of(const engine::StepItem& item, int64_t position);

  FakeRunnerOptions options_;
  quant::BlockLayout layout_;
  Store hot_;
  Store sealed_;
  Store host_hot_;
  Store host_sealed_;
  std::vector<float> logits_;
  LoopLogits device_logits_;
  std::vector<std::string> violations_;
  std::vector<int32_t> writers_;  // [hot blocks], the item that writes it in this step, or -1
};

}  // namespace tq::test
