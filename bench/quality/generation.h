#pragma once
// Long greedy generation: how far two caches write the same text. One token that differs changes
// all that follow, so this is the harshest of the measures. One thread.

#include <cstdint>
#include <span>
#include <vector>

#include "bench/quality/subject.h"
#include "config/result.h"

namespace tq::bench {

// n_tokens greedy tokens after the prompt (ties: the lower id). The store is new and holds both.
Result<std::vector<TokenId>> generate(Subject& subject,
                                      KvStore& store,
                                      std::span<const TokenId> prompt,
                                      int64_t n_tokens);

struct GenerationScore {
  int64_t n_prompts = 0;
  double same_prefix = 0.0;  // mean number of tokens before the first that differs
  double identical = 0.0;    // share of prompts whose whole answer is the same

  // Adds one pair of answers of equal length.
  void add(std::span<const TokenId> reference, std::span<const TokenId> answer);
};

}  // namespace tq::bench
