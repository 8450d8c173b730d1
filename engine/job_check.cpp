#include "engine/job_check.h"

#include <cmath>
#include <span>
#include <string>

#include "config/limits.h"

namespace tq::engine {

namespace {

Error invalid(std::string where, std::string message) {
  return Error{Code::kInvalidArgument, std::move(message), std::move(where)};
}

Result<void> check_ids(std::span<const TokenId> ids, int vocab_size, const std::string& where) {
  for (size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] < 0 || ids[i] >= vocab_size) {
      return invalid(where + "." + std::to_string(i), "token id " + std::to_string(ids[i]) +
                                                          " is not in [0, " +
                                                          std::to_string(vocab_size) + ")");
    }
  }
  return {};
}

// low_is_open: (low, high], else [low, high]. NaN fails either way.
struct Range {
  float low = 0.0f;
  float high = 0.0f;
  bool low_is_open = false;
};

Result<void> check_range(float value, Range range, const std::string& where) {
  const bool above = range.low_is_open ? value > range.low : value >= range.low;
  if (above && value <= range.high) return {};
  return invalid(where, "must be in " + std::string(range.low_is_open ? "(" : "[") +
                            std::to_string(range.low) + ", " + std::to_string(range.high) +
                            "], not " + std::to_string(value));
}

Result<void> check_sampling(const SamplingParams& s, int vocab_size) {
  constexpr float kHuge = 1e6f;
  TQ_TRY(check_range(s.temperature, {0.0f, kHuge}, "temperature"));
  TQ_TRY(check_range(s.top_p, {0.0f, 1.0f, true}, "top_p"));
  TQ_TRY(check_range(s.min_p, {0.0f, 1.0f}, "min_p"));
  TQ_TRY(check_range(s.typical_p, {0.0f, 1.0f, true}, "typical_p"));
  TQ_TRY(check_range(s.repetition_penalty, {0.0f, kHuge, true}, "repetition_penalty"));
  TQ_TRY(check_range(s.presence_penalty, {-kHuge, kHuge}, "presence_penalty"));
  TQ_TRY(check_range(s.frequency_penalty, {-kHuge, kHuge}, "frequency_penalty"));
  if (s.top_k < 0) return invalid("top_k", "must not be negative: " + std::to_string(s.top_k));
  if (s.top_logprobs < 0 || s.top_logprobs > limits::kTopLogprobsMax) {
    return invalid("top_logprobs", "must be in [0, " + std::to_string(limits::kTopLogprobsMax) +
                                       "], not " + std::to_string(s.top_logprobs));
  }
  if (s.logit_bias.size() > static_cast<size_t>(limits::kLogitBiasMax)) {
    return invalid("logit_bias", "has " + std::to_string(s.logit_bias.size()) +
                                     " entries; at most " + std::to_string(limits::kLogitBiasMax));
  }
  for (const auto& [token, bias] : s.logit_bias) {
    TQ_TRY(check_ids({&token, 1}, vocab_size, "logit_bias"));
    TQ_TRY(check_range(bias, {-kHuge, kHuge}, "logit_bias"));
  }
  return {};
}

Result<void> check_stop(const StopRules& stop, int vocab_size) {
  if (stop.max_tokens < 1) return invalid("max_tokens", "must be at least 1");
  if (stop.min_tokens < 0 || stop.min_tokens > stop.max_tokens) {
    return invalid("min_tokens",
                   "must be in [0, max_tokens], not " + std::to_string(stop.min_tokens));
  }
  if (stop.strings.size() > static_cast<size_t>(limits::kStopStringsMax)) {
    return invalid("stop", "has " + std::to_string(stop.strings.size()) + " strings; at most " +
                               std::to_string(limits::kStopStringsMax));
  }
  for (const std::string& text : stop.strings) {
    if (text.empty() || text.size() > limits::kStopStringBytesMax) {
      return invalid("stop", "a stop string has 1 to " +
                                 std::to_string(limits::kStopStringBytesMax) + " bytes, not " +
                                 std::to_string(text.size()));
    }
  }
  if (stop.token_ids.size() > static_cast<size_t>(limits::kStopTokensMax)) {
    return invalid("stop_token_ids", "has " + std::to_string(stop.token_ids.size()) +
                                         " ids; at most " + std::to_string(limits::kStopTokensMax));
  }
  return check_ids(stop.token_ids, vocab_size, "stop_token_ids");
}

}  // namespace

Result<void> check_job(const Job& job, const JobLimits& limits) {
  if (!job.sink) return Error{Code::kInternal, "the job has no event sink", "sink"};
  if (job.prompt.empty()) return invalid("prompt", "has no tokens");
  if (static_cast<int64_t>(job.prompt.size()) + 1 > limits.context_max) {
    return Error{Code::kContextLength,
                 "the prompt has " + std::to_string(job.prompt.size()) +
                     " tokens and needs room for at least one more, but a sequence may have " +
                     std::to_string(limits.context_max),
                 "prompt"};
  }
  TQ_TRY(check_ids(job.prompt, limits.vocab_size, "prompt"));
  TQ_TRY(check_sampling(job.sampling, limits.vocab_size));
  return check_stop(job.stop, limits.vocab_size);
}

}  // namespace tq::engine
