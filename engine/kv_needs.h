#pragma once
// KvNeeds: how many blocks of each pool one sequence needs. Pure arithmetic over KvConfig and the
// rule sealed_until(); the scheduler admits by it and the memory plan sizes the pools by it. Any
// thread.

#include <cstdint>
#include <vector>

#include "config/kv_config.h"
#include "kernels/kv_arena.h"

namespace tq::engine {

class KvNeeds {
 public:
  explicit KvNeeds(const KvConfig& kv);

  // Hot blocks that a sequence holds at most while positions [0, length) are computed in items as
  // short as one token. A block that is being sealed counts as hot until its step is committed.
  // Never decreases.
  int32_t hot_peak(int64_t length) const noexcept;

  // Sealed blocks when position length - 1 is computed.
  int32_t sealed(int64_t length) const noexcept;

  // The longest sequence, up to `limit` tokens, that alone fits into pools of these sizes.
  int64_t length_max(kernels::PoolSizes pools, int64_t limit) const noexcept;

  // Past this length hot_peak() grows no more (except where nothing is ever sealed).
  int64_t steady_length() const noexcept;

 private:
  bool fits(kernels::PoolSizes pools, int64_t length) const noexcept;

  KvConfig kv_;
  std::vector<int32_t> hot_peak_;  // [blocks of the length], up to the steady state
};

}  // namespace tq::engine
