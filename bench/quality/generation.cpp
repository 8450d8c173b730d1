#include "bench/quality/generation.h"

#include <algorithm>

#include "config/check.h"

namespace tq::bench {

Result<std::vector<TokenId>> generate(Subject& subject,
                                      KvStore& store,
                                      std::span<const TokenId> prompt,
                                      int64_t n_tokens) {
  std::vector<TokenId> answer;
  TokenId next = 0;
  const auto take = [&](int64_t /*position*/, std::span<const float> logits) {
    next = static_cast<TokenId>(std::max_element(logits.begin(), logits.end()) - logits.begin());
  };
  auto position = static_cast<int64_t>(prompt.size());
  TQ_TRY(subject.feed(store, 0, prompt, position - 1, take));
  answer.push_back(next);
  for (; static_cast<int64_t>(answer.size()) < n_tokens; ++position) {
    const TokenId last = next;
    TQ_TRY(subject.feed(store, position, std::span(&last, 1), position, take));
    answer.push_back(next);
  }
  return answer;
}

void GenerationScore::add(std::span<const TokenId> reference, std::span<const TokenId> answer) {
  TQ_CHECK(reference.size() == answer.size(), "answers of two lengths", reference.size(),
           answer.size());
  const auto differs = std::mismatch(reference.begin(), reference.end(), answer.begin());
  const auto same = static_cast<double>(differs.first - reference.begin());
  const auto n = static_cast<double>(n_prompts);
  same_prefix = (same_prefix * n + same) / (n + 1);
  identical = (identical * n + (differs.first == reference.end() ? 1.0 : 0.0)) / (n + 1);
  ++n_prompts;
}

}  // namespace tq::bench
