#include "engine/kv_needs.h"

#include <algorithm>
#include <numeric>

#include "config/check.h"

namespace tq::engine {

KvNeeds::KvNeeds(const KvConfig& kv) : kv_(kv) {
  TQ_CHECK(kv.block_tokens > 0 && kv.seal_stride_tokens > 0, "block and stride must be positive",
           kv.block_tokens, kv.seal_stride_tokens);
  TQ_CHECK(kv.sink_tokens >= 0 && kv.sink_tokens % kv.block_tokens == 0, "sinks are whole blocks",
           kv.sink_tokens, kv.block_tokens);
  TQ_CHECK(kv.window_tokens >= 0, "window is negative", kv.window_tokens);
  if (kv.formats.sealed_is_hot()) return;
  // What a sequence holds repeats with the least common multiple of stride and block once the
  // window and the sinks are full; two periods hold every value.
  const int64_t period = std::lcm(kv.seal_stride_tokens, kv.block_tokens);
  const int64_t n_blocks = (kv.sink_tokens + kv.window_tokens + 3 * period) / kv.block_tokens + 1;
  hot_peak_.reserve(static_cast<size_t>(n_blocks) + 1);
  hot_peak_.push_back(0);
  for (int64_t block = 0; block < n_blocks; ++block) {
    // The first token of a block is where it holds most: the block is new, and what the step at
    // `position` seals is still hot.
    const int64_t position = block * kv.block_tokens;
    const int64_t sealed_before = position == 0 ? kv.sink_tokens : sealed_until(kv, position - 1);
    const int64_t held = block + 1 - (sealed_before - kv.sink_tokens) / kv.block_tokens;
    hot_peak_.push_back(std::max(hot_peak_.back(), static_cast<int32_t>(held)));
  }
}

int32_t KvNeeds::hot_peak(int64_t length) const noexcept {
  const int64_t n_blocks = (length + kv_.block_tokens - 1) / kv_.block_tokens;
  if (hot_peak_.empty()) return static_cast<int32_t>(n_blocks);
  return hot_peak_[std::min(static_cast<size_t>(n_blocks), hot_peak_.size() - 1)];
}

int32_t KvNeeds::sealed(int64_t length) const noexcept {
  if (length <= 0) return 0;
  return static_cast<int32_t>((sealed_until(kv_, length - 1) - kv_.sink_tokens) / kv_.block_tokens);
}

bool KvNeeds::fits(kernels::PoolSizes pools, int64_t length) const noexcept {
  return hot_peak(length) <= pools.hot_blocks && sealed(length) <= pools.sealed_blocks;
}

int64_t KvNeeds::length_max(kernels::PoolSizes pools, int64_t limit) const noexcept {
  int64_t low = 0;  // fits
  int64_t high = limit + 1;
  while (high - low > 1) {
    const int64_t middle = low + (high - low) / 2;
    (fits(pools, middle) ? low : high) = middle;
  }
  return low;
}

int64_t KvNeeds::steady_length() const noexcept {
  return static_cast<int64_t>(hot_peak_.size()) * kv_.block_tokens;
}

}  // namespace tq::engine
