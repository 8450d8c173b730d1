#include "engine/logit_changes.h"

#include <cstddef>

namespace tq::engine {

void LogitChanges::add(const RowContext& row,
                       int32_t n_tokens,
                       int32_t row_idx,
                       std::vector<kernels::LogitChange>& changes) {
  const SamplingParams& params = *row.params;
  const size_t first = changes.size();
  if (place_.size() < static_cast<size_t>(n_tokens)) place_.resize(static_cast<size_t>(n_tokens));
  // The token's change, new or not; null of a token that the row has not.
  const auto change_of = [&](TokenId token) -> kernels::LogitChange* {
    if (token < 0 || token >= n_tokens) return nullptr;
    int32_t& place = place_[static_cast<size_t>(token)];
    if (place == 0) {
      changes.push_back({.row = row_idx, .token = token});
      place = static_cast<int32_t>(changes.size() - first);
    }
    return &changes[first + static_cast<size_t>(place) - 1];
  };
  for (const auto& [token, bias] : params.logit_bias) {
    if (auto* change = change_of(token)) change->bias += bias;
  }
  for (const TokenId token : row.banned) {
    if (auto* change = change_of(token)) change->is_banned = 1;
  }
  const bool has_output_penalties =
      params.presence_penalty != 0.0f || params.frequency_penalty != 0.0f;
  if (params.repetition_penalty != 1.0f) {
    for (const TokenId token : row.tokens) {
      if (auto* change = change_of(token)) change->repetition = params.repetition_penalty;
    }
  }
  if (has_output_penalties) {
    // Occurrences first, then what they cost.
    for (const TokenId token : row.tokens.subspan(static_cast<size_t>(row.n_prompt))) {
      if (auto* change = change_of(token)) change->penalty += 1.0f;
    }
    for (size_t i = first; i < changes.size(); ++i) {
      if (changes[i].penalty == 0.0f) continue;
      changes[i].penalty = params.presence_penalty + params.frequency_penalty * changes[i].penalty;
    }
  }
  for (size_t i = first; i < changes.size(); ++i) {
    place_[static_cast<size_t>(changes[i].token)] = 0;
  }
}

}  // namespace tq::engine
