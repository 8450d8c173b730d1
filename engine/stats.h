#pragma once
// EngineStats: counters that the engine thread writes and the metrics endpoint reads. Atomics,
// relaxed: a reading is a snapshot of each value, not of all at once.

#include <array>
#include <atomic>
#include <cstdint>
#include <span>

namespace tq::engine {

// Fixed bucket bounds (upper, ascending); counts are cumulative only when rendered.
class Histogram {
 public:
  static constexpr int kBucketsMax = 24;

  explicit Histogram(
      std::span<const double> bounds) noexcept;  // `bounds` must outlive the histogram
  void observe(double value) noexcept;

  std::span<const double> bounds() const noexcept { return bounds_; }
  uint64_t count(int bucket) const noexcept;  // bucket == bounds().size(): +Inf; not cumulative
  uint64_t total() const noexcept;
  double sum() const noexcept;

 private:
  std::span<const double> bounds_;
  std::array<std::atomic<uint64_t>, kBucketsMax + 1> counts_{};
  std::atomic<double> sum_{0.0};
};

struct EngineStats {
  EngineStats();

  std::atomic<int64_t> running{0};
  std::atomic<int64_t> waiting{0};
  std::atomic<int64_t> hot_blocks_used{0};  // referenced by sequences, not merely cached
  std::atomic<int64_t> hot_blocks_total{0};
  std::atomic<int64_t> sealed_blocks_used{0};
  std::atomic<int64_t> sealed_blocks_total{0};
  std::atomic<int64_t> tokens_held{0};  // by running sequences
  std::atomic<uint64_t> prompt_tokens{0};
  std::atomic<uint64_t> generation_tokens{0};
  std::atomic<uint64_t> preemptions{0};
  std::atomic<uint64_t> blocks_swapped_out{0};  // of preempted sequences, to the host
  std::atomic<uint64_t> blocks_swapped_in{0};
  std::atomic<uint64_t> prefix_queries{0};  // tokens looked up
  std::atomic<uint64_t> prefix_hits{0};     // tokens found
  std::atomic<uint64_t> steps{0};
  std::atomic<uint64_t> finished_stop{0};
  std::atomic<uint64_t> finished_length{0};
  std::atomic<uint64_t> finished_cancelled{0};
  std::atomic<uint64_t> finished_error{0};
  std::atomic<bool> healthy{true};

  Histogram time_to_first_token_s;
  Histogram inter_token_latency_s;
  Histogram e2e_latency_s;
  Histogram queue_s;
  Histogram prefill_s;
  Histogram decode_s;
  Histogram inference_s;
  Histogram step_tokens;
  Histogram request_prompt_tokens;
  Histogram request_generation_tokens;
};

}  // namespace tq::engine
