#pragma once
// LogitChanges: what bias, bans and penalties change of a row, one entry for each token that they
// touch. Keeps its workspace. Engine thread only.

#include <cstdint>
#include <span>
#include <vector>

#include "config/ids.h"
#include "engine/job.h"
#include "kernels/token_weight.h"

namespace tq::engine {

// What sampling knows of a row besides its logits.
struct RowContext {
  const SamplingParams* params = nullptr;
  uint64_t seed = 0;                  // of the sequence
  std::span<const TokenId> tokens{};  // prompt, then output
  int64_t n_prompt = 0;
  std::span<const TokenId> banned{};  // may not be drawn
};

class LogitChanges {
 public:
  // Appends the changes of one row, whose tokens are [0, n_tokens); no token twice.
  void add(const RowContext& row,
           int32_t n_tokens,
           int32_t row_idx,
           std::vector<kernels::LogitChange>& changes);

 private:
  std::vector<int32_t> place_;  // [n_tokens], of a token's change, from 1; all zero between calls
};

}  // namespace tq::engine
