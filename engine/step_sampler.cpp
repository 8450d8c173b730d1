#include "engine/step_sampler.h"

#include <optional>
#include <string>

namespace tq::engine {

Result<void> StepSampler::sample(const StepLogits& logits,
                                 std::span<const RowContext> rows,
                                 const Widths& widths,
                                 const Take& take) {
  const auto width = static_cast<size_t>(widths.row);
  const size_t n_values = logits.on_device != nullptr
                              ? static_cast<size_t>(logits.on_device->n_rows()) * width
                              : logits.values.size();
  if (n_values != rows.size() * width) {
    return Error{Code::kInternal,
                 "the runner gave " + std::to_string(n_values) + " logits, not " +
                     std::to_string(rows.size() * width),
                 "runner"};
  }
  if (rows.empty()) return {};
  if (logits.on_device != nullptr) {
    return sample_on_device(*logits.on_device, rows, widths.n_tokens, take);
  }
  for (size_t i = 0; i < rows.size(); ++i) {
    const auto row = logits.values.subspan(i * width, static_cast<size_t>(widths.n_tokens));
    take(i, sampler_.sample(rows[i], row));
  }
  return {};
}

// All rows' questions go there at once, while the step may still run.
Result<void> StepSampler::sample_on_device(DeviceLogits& logits,
                                           std::span<const RowContext> rows,
                                           int32_t n_tokens,
                                           const Take& take) {
  questions_.clear();
  places_.clear();
  for (const RowContext& row : rows) places_.push_back(sampler_.ask(row, n_tokens, questions_));
  TQ_ASSIGN(const kernels::DeviceSelect* const answers, logits.select(questions_, n_tokens));
  for (size_t i = 0; i < rows.size(); ++i) {
    const auto concluded = sampler_.conclude(rows[i], places_[i], questions_, *answers);
    if (!concluded.ok()) {
      take(i, concluded.error());
    } else if (*concluded) {
      take(i, **concluded);
    } else {  // the answers do not tell
      TQ_ASSIGN(const auto row, logits.fetch(static_cast<int32_t>(i), n_tokens));
      Sampler::restore(row, places_[i], questions_, *answers);
      take(i, sampler_.sample(rows[i], row));
    }
  }
  return {};
}

}  // namespace tq::engine
